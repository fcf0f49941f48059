"""A file is there whole or not at all, and an older one stays until then; through save_embedding, its user."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from comfy_host.environment import REPO
from dti_core.files.atomic_write import ABANDONED_SECONDS, check_writable
from dti_core.files.embedding_file import load_embedding, save_embedding
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


@pytest.fixture(params=["with links", "without links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds of file system: one that knows hard links, and one that does not, such as exFAT."""
    if request.param == "without links":
        monkeypatch.setattr(os, "link", no_links, raising=False)


def no_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.usefixtures("file_system")
def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(1.0), path)
    with pytest.raises(FileExistsError, match="exists and was kept"):
        save_embedding(small(2.0), path)
    assert_same(load_embedding(path), small(1.0))
    assert os.listdir(tmp_path) == ["dog.safetensors"]


KILLED = """
import sys
from pathlib import Path
from dti_core.files.atomic_write import write_whole
print("ready", flush=True)
for number in range(10**6):
    write_whole(b"whole" * 1000, Path(sys.argv[1]) / f"{number}.safetensors", overwrite=False)
"""


def test_a_killed_run_leaves_whole_files_and_nothing_for_long(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    for _ in range(5):
        command = [sys.executable, "-c", KILLED, str(folder)]
        with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05)
            process.kill()
        sizes = {path.stat().st_size for path in folder.glob("*.safetensors")}
        assert sizes <= {5000}
        shutil.rmtree(folder, ignore_errors=True)


def test_the_name_appears_with_the_whole_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without luck: at the step that gives the name, nothing has it yet."""
    path = tmp_path / "dog.safetensors"
    seen: list[bool] = []

    def noting(step: Callable[..., None]) -> Callable[..., None]:
        def noted(source: Path, target: Path) -> None:
            seen.append(path.exists())
            step(source, target)

        return noted

    for step in ("link", "rename", "replace"):
        monkeypatch.setattr(os, step, noting(getattr(os, step)))
    save_embedding(small(), path)
    assert seen == [False]


def test_what_a_killed_run_left_is_removed_by_a_later_one(tmp_path: Path) -> None:
    old, recent, foreign = (tmp_path / name for name in (".dti-0.tmp", ".dti-1.tmp", "old.tmp"))
    for file in (old, recent, foreign):
        file.touch()
    for file in (old, foreign):
        os.utime(file, (time.time() - 2 * ABANDONED_SECONDS,) * 2)
    save_embedding(small(), tmp_path / "dog.safetensors")
    assert sorted(os.listdir(tmp_path)) == [".dti-1.tmp", "dog.safetensors", "old.tmp"]


def test_a_clock_that_goes_back_removes_nothing_of_others(tmp_path: Path) -> None:
    recent = tmp_path / ".dti-1.tmp"
    recent.touch()
    os.utime(recent, (time.time() + 2 * ABANDONED_SECONDS,) * 2)
    path = tmp_path / "dog.safetensors"
    path.touch()
    os.utime(path, (time.time() + 2 * ABANDONED_SECONDS,) * 2)
    save_embedding(small(), path, overwrite=True)
    assert recent.exists()
    assert_same(load_embedding(path), small())


def test_what_can_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    before = sorted(os.listdir(tmp_path))
    check_writable(tmp_path / "dog.safetensors")
    check_writable(tmp_path / "pets" / "more" / "dog.safetensors")
    for path in ("file/dog.safetensors", "folder.safetensors"):
        with pytest.raises(OSError, match="choose another folder"):
            check_writable(tmp_path / path)
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="free some space"):
        check_writable(tmp_path / "dog.safetensors")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_no_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, overwrite: bool
) -> None:
    path = tmp_path / "dog.safetensors"
    monkeypatch.setattr(os, call, full_disk)
    if call == "replace" and not overwrite:
        monkeypatch.setattr(os, "link", full_disk, raising=False)
        monkeypatch.setattr(os, "rename", full_disk)
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
