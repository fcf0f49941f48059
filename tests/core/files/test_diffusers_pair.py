"""The authors' pair of files, one for each encoder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import load_embedding, save_diffusers_pair
from tests.core.embeddings import G, H, L, rows, write


@pytest.mark.parametrize("steps", ["", "-steps-500"])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("chosen", ["learned_embeds", "learned_embeds_2"])
def test_either_file_of_a_pair_loads_both(tmp_path: Path, steps: str, suffix: str, chosen: str) -> None:
    write(tmp_path / f"learned_embeds{steps}{suffix}", {"<dog>": L})
    write(tmp_path / f"learned_embeds_2{steps}{suffix}", {"<dog>": G})
    write(tmp_path / f"learned_embeds-steps-1{suffix}", {"<dog>": H})
    loaded = load_embedding(tmp_path / f"{chosen}{steps}{suffix}")
    assert loaded.name == f"learned_embeds{steps}"
    assert loaded.metadata == {"dti.placeholder": "<dog>"}
    assert torch.equal(loaded.vectors["clip_l"], L) and torch.equal(loaded.vectors["clip_g"], G)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"<cat>": G}, "not two halves.*'<dog>' and '<cat>'"),
        ({"<dog>": L}, "not two halves.*for clip_l, clip_l and named"),
        ({"clip_l": L, "clip_g": G}, r"not two halves.*for clip_l, clip_\w, clip_\w and named '<dog>' and None"),
    ],
)
def test_two_files_that_are_no_pair(tmp_path: Path, second: dict[str, torch.Tensor], message: str) -> None:
    write(tmp_path / "learned_embeds.safetensors", {"<dog>": L})
    write(tmp_path / "learned_embeds_2.safetensors", second)
    with pytest.raises(ValueError, match=message):
        load_embedding(tmp_path / "learned_embeds.safetensors")


def test_saving_diffusers_pair(tmp_path: Path) -> None:
    embedding = ConceptEmbedding("pets/dog", {"clip_l": rows(2, 64), "clip_g": rows(2, 96)}, {"dti.steps": "400"})
    paths = save_diffusers_pair(embedding, tmp_path / "dog")
    assert [path.name for path in paths] == ["learned_embeds.safetensors", "learned_embeds_2.safetensors"]
    loaded = load_embedding(paths[1])
    assert loaded.metadata == {"dti.steps": "400", "dti.placeholder": "<dog>"}
    assert all(torch.equal(loaded.vectors[key], embedding.vectors[key]) for key in ("clip_l", "clip_g"))
    with pytest.raises(FileExistsError):
        save_diffusers_pair(embedding, tmp_path / "dog")
    save_diffusers_pair(embedding, tmp_path / "dog", overwrite=True)
    assert sorted(os.listdir(tmp_path / "dog")) == ["learned_embeds.safetensors", "learned_embeds_2.safetensors"]


def test_half_a_pair_is_never_left(tmp_path: Path) -> None:
    embedding = ConceptEmbedding("dog", {"clip_l": rows(2, 64), "clip_g": rows(2, 96)})
    (tmp_path / "learned_embeds_2.safetensors").touch()
    with pytest.raises(FileExistsError):
        save_diffusers_pair(embedding, tmp_path)
    assert os.listdir(tmp_path) == ["learned_embeds_2.safetensors"]


def test_a_disk_that_fills_up_leaves_the_old_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (ConceptEmbedding("dog", {"clip_l": rows(2, 64, s), "clip_g": rows(2, 96, s)}) for s in (1, 2))
    paths = save_diffusers_pair(old, tmp_path)
    before = [path.read_bytes() for path in paths]
    calls: list[int] = []

    def full_at_the_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(OSError, match=r"No space left.*learned_embeds_2"):
        save_diffusers_pair(new, tmp_path, overwrite=True)
    assert [path.read_bytes() for path in paths] == before
    assert sorted(os.listdir(tmp_path)) == [path.name for path in paths]


def test_the_pair_of_one_encoder_is_one_file_and_of_others_refused(tmp_path: Path) -> None:
    (path,) = save_diffusers_pair(ConceptEmbedding("dog", {"clip_h": H}), tmp_path)
    assert torch.equal(load_embedding(path).vectors["clip_h"], H)
    with pytest.raises(ValueError, match="for clip_l, t5xxl, and diffusers"):
        save_diffusers_pair(ConceptEmbedding("dog", {"clip_l": L, "t5xxl": rows(3, 4096)}), tmp_path / "flux")
