"""Pickles: tensors come out, code does not run, and what is too large or damaged is refused."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dti_core.files.embedding_file import load_embedding
from tests.core.embeddings import L, write


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
    with pytest.raises(ValueError, match="neither a zip file nor"):
        load_embedding(tmp_path / "dog.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "holds nothing and no tensors"),
        ({"epoch": 3, "lr": 0.1}, "holds 'epoch', 'lr' and no tensors"),
        ([], "holds a list without tensors"),
        (L, "holds a Tensor"),
        ({"string_to_param": {}}, "string_to_param holds 0 tensors"),
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
        ({"dog": L, "cat": L[:, :99]}, "'cat', 'dog'"),
        ({"text_model.encoder.bias": L}, "'text_model.encoder.bias'"),
    ],
)
def test_pickles_that_are_no_embedding(tmp_path: Path, content: Any, found: str) -> None:
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        load_embedding(write(tmp_path / "dog.pt", content))
    assert "dog" in str(error.value)


def test_a_file_saved_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = write(tmp_path / "dog.pt", {"emb_params": L})
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load_embedding(path).vectors["clip_l"], L)


# Torch's older format


def old(path: Path, content: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_files_of_before_torch_1_6(tmp_path: Path) -> None:
    path = old(tmp_path / "dog.pt", {"string_to_param": {"*": L}, "name": "dog"})
    assert torch.equal(load_embedding(path).vectors["clip_l"], L)
    path = old(tmp_path / "dog.bin", {"<dog>": torch.nn.Parameter(L)})
    assert torch.equal(load_embedding(path).vectors["clip_l"], L)


def test_code_in_an_old_file_does_not_run(tmp_path: Path) -> None:
    path = old(tmp_path / "dog.pt", {"string_to_param": {"*": L}, "extra": Canary(tmp_path / "ran")})
    with pytest.raises(ValueError, match=r"holds code or objects \((posix|nt)\.mkdir\)"):
        load_embedding(path)
    assert not (tmp_path / "ran").exists()


def test_an_old_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = old(tmp_path / "dog.pt", {"emb_params": L[:1]})
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"dog\.pt (cannot be read|was not loaded)"):
            load_embedding(path)


def test_an_old_storage_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    path = old(tmp_path / "dog.pt", {"emb_params": L})
    claimed, larger = (b"M" + size.to_bytes(2, "little") for size in (3 * 768, 60_000))
    path.write_bytes(path.read_bytes().replace(claimed, larger, 1))
    with pytest.raises(ValueError, match=r"dog\.pt cannot be read"):
        load_embedding(path)


# A module that holds tensors only


def before_1_12() -> torch.nn.ParameterDict:
    """As torch restores one that was saved when ParameterDict kept no keys of its own."""
    saved = torch.nn.ParameterDict.__new__(torch.nn.ParameterDict)
    vars(saved).update(training=True, _parameters=OrderedDict({"*": torch.nn.Parameter(L)}), _buffers=OrderedDict())
    return saved


@pytest.mark.parametrize("params", [torch.nn.ParameterDict({"*": torch.nn.Parameter(L)}), before_1_12()])
def test_a_parameter_dict(tmp_path: Path, params: torch.nn.ParameterDict) -> None:
    content = {"string_to_token": {"*": 265}, "string_to_param": params}
    assert torch.equal(load_embedding(write(tmp_path / "dog.pt", content)).vectors["clip_l"], L)


def test_other_modules_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", {"string_to_param": {"*": L}, "model": torch.nn.Dropout()})
    with pytest.raises(ValueError, match=r"holds code or objects \(torch\.nn\.modules\.dropout\.Dropout\)"):
        load_embedding(path)


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


def test_the_fixtures_are_torchs_zip_files() -> None:
    file = io.BytesIO()
    torch.save({"emb_params": L}, file)
    assert zipfile.is_zipfile(file)
