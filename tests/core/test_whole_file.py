"""A file is there whole or not at all, and an older one stays until then; through save_embedding, its user."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dti_core.embedding_file import load_embedding, save_embedding
from tests.core.embeddings import assert_same, small


def test_of_several_runs_saving_one_name_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    start = Barrier(8)

    def save(number: int) -> int | None:
        start.wait()
        try:
            save_embedding(small(float(number)), path)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [number for number in pool.map(save, range(1, 9)) if number is not None]
    assert_same(load_embedding(path), small(float(winner)))
    assert os.listdir(tmp_path) == ["dog.safetensors"]


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_no_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, overwrite: bool
) -> None:
    path = tmp_path / "dog.safetensors"
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(
        OSError, match=r"not saved \(No space left.*free some space.*dog\.safetensors"
    ) as error:
        save_embedding(small(), path, overwrite=overwrite)
    assert error.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [full_disk, interrupted])
def test_a_failed_replacement_keeps_the_old_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    overwrite: bool,
    failure: Callable[..., None],
) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(1.0), path)
    with monkeypatch.context() as patch, pytest.raises((OSError, KeyboardInterrupt)):
        patch.setattr(os, call, failure)
        save_embedding(small(2.0), path, overwrite=overwrite)
    assert_same(load_embedding(path), small(1.0))
    assert os.listdir(tmp_path) == ["dog.safetensors"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"not saved .*choose another folder"):
        save_embedding(small(), tmp_path / "file" / "dog.safetensors")
    assert os.listdir(tmp_path) == ["file"]


def test_a_read_only_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a read-only file system answers to everybody, root included."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(OSError, match=r"not saved \(Read-only file system.*choose another folder") as error:
        save_embedding(small(), tmp_path / "dog.safetensors")
    assert error.value.errno == errno.EROFS
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a mode stops neither root nor Windows")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="choose another folder"):
        save_embedding(small(), tmp_path / "dog.safetensors")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no mode to inherit")
def test_others_may_read_the_file_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save_embedding(small(), tmp_path / "dog.safetensors")
    assert (tmp_path / "dog.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
