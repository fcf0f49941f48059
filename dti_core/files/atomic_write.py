"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

# A file takes milliseconds to write, so that an older temporary one is of a run that was killed.
ABANDONED_SECONDS = 3600


def write_whole(content: bytes, path: Path, overwrite: bool) -> None:
    """Write `content` to `path`; folders on the way are made. An existing file is replaced only with `overwrite`.

    Raises OSError, FileExistsError among them, with what to do; then no file is left behind, and an existing
    one is as it was.
    """
    write_together({path: content}, overwrite)


def write_together(contents: Mapping[Path, bytes], overwrite: bool) -> None:
    """As `write_whole` for files that are of use together only; all are on the disk before the first gets its name."""
    temporary: dict[Path, Path] = {}
    named: list[Path] = []
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(path.parent)
            temporary[path] = _temporary(path.parent)
            _write(content, temporary[path])
        for path, file in temporary.items():
            if overwrite:
                os.replace(file, path)
            else:
                _move_to_new(file, path)
            named.append(path)
    except BaseException as error:
        for other in [] if overwrite else named:
            other.unlink()
        if isinstance(error, OSError):
            raise _save_error(error, path) from error
        raise
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)
    for folder in {path.parent for path in named}:
        _sync_folder(folder)


def check_writable(path: Path) -> None:
    """Raise OSError where `write_whole` could not write to `path` as things are. Leaves nothing behind."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        existing = next(folder for folder in path.parents if folder.exists())
        temporary = _temporary(existing)
        try:
            temporary.write_bytes(bytes(4096))
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _save_error(error, path) from error


def _write(content: bytes, path: Path) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move_to_new(temporary: Path, path: Path) -> None:
    """Give the file its name in one step that fails where there is such a file."""
    if os.name == "nt":
        os.rename(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links, such as exFAT.
        path.touch(exist_ok=False)
        try:
            os.replace(temporary, path)
        except BaseException:
            path.unlink()
            raise


def _temporary(folder: Path) -> Path:
    return folder / f".dti-{secrets.token_hex(8)}.tmp"


def _remove_abandoned(folder: Path) -> None:
    for temporary in folder.glob(".dti-*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
                temporary.unlink()


def _sync_folder(folder: Path) -> None:
    # Makes the new name survive a power cut. Windows and some network drives cannot do this to a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _save_error(error: OSError, path: Path) -> OSError:
    if error.errno == errno.EEXIST and path.is_file():
        advice = "an embedding of this name exists and was kept; choose another name or allow overwriting"
    else:
        advice = f"the file was not saved ({error.strerror}); free some space or choose another folder"
    return OSError(error.errno, advice, str(path))
