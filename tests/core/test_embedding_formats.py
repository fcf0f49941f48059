"""Every format that people have: a file in that format's own layout, written here, and what is read from it."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dti_core.concept_embedding import ConceptEmbedding
from dti_core.embedding_file import load_embedding, save_diffusers_pair, save_embedding


def rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


L, G, H = rows(3, 768, 1), rows(3, 1280, 2), rows(3, 1024, 3)
LORA = {"lora_te1_layers_0.lora_down.weight": rows(4, 8), "lora_te1_layers_0.alpha": torch.tensor(4)}
A1111 = {"string_to_token": {"*": 265}, "name": "dog", "step": 499, "sd_checkpoint_name": "v1-5"}


def write(path: Path, content: Any) -> Path:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


# (file name, content, vectors by encoder, metadata)
FORMATS: dict[str, tuple[str, Any, dict[str, torch.Tensor], dict[str, str]]] = {
    "kohya sdxl": ("dog.safetensors", {"clip_l": L, "clip_g": G}, {"clip_l": L, "clip_g": G}, {}),
    "kohya sdxl pt": ("dog.pt", {"clip_l": L, "clip_g": G}, {"clip_l": L, "clip_g": G}, {}),
    "kohya sd1": ("dog.safetensors", {"emb_params": L}, {"clip_l": L}, {}),
    "kohya sd2": ("dog.safetensors", {"emb_params": H}, {"clip_h": H}, {}),
    "kohya sd1 pt": ("dog.pt", {"emb_params": L}, {"clip_l": L}, {}),
    "onetrainer sdxl": (
        "dog.safetensors",
        {"clip_l": L, "clip_g": G, "clip_l_out": L + 1, "clip_g_out": G + 1},
        {"clip_l": L, "clip_g": G},
        {"dti.ignored_tensors": "clip_g_out, clip_l_out"},
    ),
    "onetrainer sd1": ("dog.safetensors", {"emp_params": L}, {"clip_l": L}, {}),
    "onetrainer sd1 with output": (
        "dog.safetensors",
        {"emp_params": L, "emp_params_out": L + 1},
        {"clip_l": L},
        {"dti.ignored_tensors": "emp_params_out"},
    ),
    "onetrainer flux": (
        "dog.safetensors",
        {"clip_l": L, "t5": rows(3, 4096)},
        {"clip_l": L, "t5xxl": rows(3, 4096)},
        {},
    ),
    "a1111 pt": (
        "dog.pt",
        {**A1111, "string_to_param": {"*": L}, "sd_checkpoint": None},
        {"clip_l": L},
        {"source.name": "dog", "source.step": "499", "source.sd_checkpoint_name": "v1-5"},
    ),
    "a1111 pt of a parameter": (
        "dog.pt",
        {"string_to_param": {"*": torch.nn.Parameter(L)}},
        {"clip_l": L},
        {},
    ),
    "a1111 safetensors": ("dog.safetensors", {"emb_params": L}, {"clip_l": L}, {}),
    "invokeai, diffusers bin": ("learned_embeds.bin", {"<dog>": L[0]}, {"clip_l": L[:1]}, {"dti.placeholder": "<dog>"}),
    "diffusers safetensors": ("learned_embeds.safetensors", {"sks": L}, {"clip_l": L}, {"dti.placeholder": "sks"}),
    "second half alone": ("learned_embeds_2.bin", {"<dog>": G}, {"clip_g": G}, {"dti.placeholder": "<dog>"}),
    "bundled": (
        "lora.safetensors",
        {**LORA, "bundle_emb.my.dog.clip_l": L, "bundle_emb.my.dog.clip_g": G, "bundle_emb.my.dog.clip_g_out": G + 1},
        {"clip_l": L, "clip_g": G},
        {"dti.ignored_tensors": "clip_g_out"},
    ),
    "bundled a1111": ("lora.safetensors", {**LORA, "bundle_emb.dog.string_to_param.*": L}, {"clip_l": L}, {}),
    "one vector each": ("dog.safetensors", {"clip_l": L[0], "clip_g": G[0]}, {"clip_l": L[:1], "clip_g": G[:1]}, {}),
    "one encoder of sdxl": ("dog.pt", {"clip_g": G}, {"clip_g": G}, {}),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_format(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    file, content, vectors, metadata = FORMATS[kind]
    loaded = load_embedding(write(tmp_path / file, cast(content, dtype)))
    assert loaded.name == Path(file).stem
    assert loaded.vectors.keys() == vectors.keys()
    for key, expected in vectors.items():
        assert loaded.vectors[key].dtype == torch.float32
        assert torch.equal(loaded.vectors[key], expected.to(dtype).float())
    assert loaded.metadata == metadata
    save_embedding(loaded, tmp_path / "again.safetensors")
    again = load_embedding(tmp_path / "again.safetensors")
    assert all(torch.equal(again.vectors[key], loaded.vectors[key]) for key in vectors)
    assert (again.vectors.keys(), again.metadata) == (loaded.vectors.keys(), loaded.metadata)


def cast(content: Any, dtype: torch.dtype) -> Any:
    if isinstance(content, dict):
        return {key: cast(value, dtype) for key, value in content.items()}
    return content.to(dtype) if torch.is_tensor(content) else content


# The authors' pair


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
        ({"<dog>": G[:2]}, "different numbers of vectors"),
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


def test_the_pair_of_one_encoder_is_one_file_and_of_others_refused(tmp_path: Path) -> None:
    (path,) = save_diffusers_pair(ConceptEmbedding("dog", {"clip_h": H}), tmp_path)
    assert torch.equal(load_embedding(path).vectors["clip_h"], H)
    with pytest.raises(ValueError, match="for clip_l, t5xxl, and diffusers"):
        save_diffusers_pair(ConceptEmbedding("dog", {"clip_l": L, "t5xxl": rows(3, 4096)}), tmp_path / "flux")


# Bundles


def test_of_several_in_a_lora_one_is_chosen(tmp_path: Path) -> None:
    content = {**LORA, **{f"bundle_emb.{name}.clip_l": rows(1, 768, seed) for seed, name in enumerate(["dog", "cat"])}}
    path = write(tmp_path / "lora.safetensors", content)
    assert torch.equal(load_embedding(path, "cat").vectors["clip_l"], rows(1, 768, 1))
    with pytest.raises(ValueError, match=r"carries the embeddings 'cat', 'dog'; Say which"):
        load_embedding(path)
    with pytest.raises(ValueError, match=r"'cat', 'dog'; 'cow' is not one of them"):
        load_embedding(path, "cow")


def test_a_name_in_a_plain_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="carries no 'cat'"):
        load_embedding(write(tmp_path / "dog.safetensors", {"emb_params": L}), "cat")


# What cannot be read is named


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"dog{suffix}", {"string_to_param": {"*": L}, "extra": Canary(tmp_path / "ran")})
    with pytest.raises(ValueError, match=r"holds code or objects \((posix|nt)\.mkdir\)"):
        load_embedding(path)
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "dog.pt").write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    with pytest.raises(ValueError, match="not a zip file"):
        load_embedding(tmp_path / "dog.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "holds nothing and no tensors"),
        ({"epoch": 3, "lr": 0.1}, "holds 'epoch', 'lr' and no tensors"),
        ([{"<dog>": L}], "holds a list"),
        (L, "holds a Tensor"),
        ({"string_to_param": {}}, "string_to_param holds 0 tensors"),
        ({"string_to_param": {"*": L, "+": L}}, "string_to_param holds 2 tensors"),
        ({"string_to_param": {"*": L.to_sparse()}}, "no plain tensor"),
        ({"emb_params": L.to("meta")}, "no plain tensor"),
        ({"emb_params": L.int()}, "emb_params is torch.int32"),
        ({"emb_params": torch.zeros(1).expand(2**20, 2**20)}, "shape [1048576, 1048576]"),
        ({"emb_params": torch.tensor(1.0)}, "shape []"),
        ({"emb_params": torch.full((1, 768), float("inf"))}, "NaN or infinite"),
        ({"emb_params": torch.zeros(1, 768)}, "zeros only in vector 0 of clip_l"),
        ({"model.diffusion_model.x": L}, "a checkpoint"),
        ({"a.lora_up.weight": L}, "a LoRA"),
        ({"clip_l_out": L}, "clip_l_out"),
        ({"dog": L, "cat": L}, "'dog', 'cat'"),
    ],
)
def test_pickles_that_are_no_embedding(tmp_path: Path, content: Any, found: str) -> None:
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        load_embedding(write(tmp_path / "dog.pt", content))
    assert "dog" in str(error.value)


def test_a_zero_vector_is_refused(tmp_path: Path) -> None:
    vectors = L.clone()
    vectors[1] = 0
    with pytest.raises(ValueError, match=r"dog.safetensors has zeros only in vector 1 of clip_l"):
        load_embedding(write(tmp_path / "dog.safetensors", {"clip_l": vectors, "clip_g": G}))


@pytest.mark.parametrize("file", ["dog.pt", "dog.bin", "dog.safetensors"])
def test_empty_files(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(ValueError, match="dog"):
        load_embedding(tmp_path / file)


@pytest.mark.parametrize("file", ["dog.pt", "dog.bin"])
def test_missing_files(tmp_path: Path, file: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such embedding"):
        load_embedding(tmp_path / file)


def test_other_extensions_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in '\.ckpt'"):
        load_embedding(write(tmp_path / "dog.ckpt", {"emb_params": L}))


# Zip bombs, checksums


def rezipped(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", {"emb_params": L})
    rezipped(path, lambda name, old: bytes(100_000_000) if name.endswith("data/0") else old, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match="larger than any embedding"):
        load_embedding(path)


def test_compressed_and_crowded_archives_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", {"emb_params": L})
    rezipped(path, lambda _, old: old, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        load_embedding(path)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(300):
            archive.writestr(f"data/{number}", b"")
    with pytest.raises(ValueError, match="larger than any embedding"):
        load_embedding(path)


def test_a_storage_that_claims_more_than_the_archive_has(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", {"emb_params": L})
    claimed, larger = (b"M" + size.to_bytes(2, "little") for size in (3 * 768, 60_000))
    rezipped(path, lambda name, old: old.replace(claimed, larger, 1) if name.endswith(".pkl") else old)
    with pytest.raises(ValueError, match=r"dog\.pt cannot be read"):
        load_embedding(path)


def test_a_damaged_pt_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", {"emb_params": L})
    content = bytearray(path.read_bytes())
    content[content.index(L.numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data/0' in it is damaged"):
        load_embedding(path)


def test_the_checksum_in_the_header_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(ConceptEmbedding("dog", {"clip_l": L, "clip_g": G}), path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="do not have the checksum"):
        load_embedding(path)


def test_a_file_of_ours_without_its_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(ConceptEmbedding("dog", {"clip_l": L}), path)
    path.write_bytes(path.read_bytes().replace(b"hash_sha256", b"hash_sha257"))
    with pytest.raises(ValueError, match="do not have the checksum"):
        load_embedding(path)


def test_absurd_shapes_in_a_bundle_are_refused_by_header(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}
    header = json.dumps({"bundle_emb.dog.clip_l": entry}).encode()
    path = tmp_path / "lora.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    with pytest.raises(ValueError, match="at most 1024 vectors"):
        load_embedding(path)


def test_the_fixtures_are_torchs_zip_files() -> None:
    file = io.BytesIO()
    torch.save({"emb_params": L}, file)
    assert zipfile.is_zipfile(file)
