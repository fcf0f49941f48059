"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path


def write_whole(content: bytes, path: Path, overwrite: bool) -> None:
    """Write `content` to `path`; folders on the way are made. An existing file is replaced only with `overwrite`.

    Raises OSError, FileExistsError among them, with what to do; then no file is left behind, and an existing
    one is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(content, path, overwrite)
    except OSError as error:
        raise _save_error(error, path) from error


def _write(content: bytes, path: Path, overwrite: bool) -> None:
    temporary = path.with_name(f".dti-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _move_to_new(temporary: Path, path: Path) -> None:
    # Of two runs that save under one name at the same time, one creates the file and the other fails here.
    path.touch(exist_ok=False)
    try:
        os.replace(temporary, path)
    except BaseException:
        path.unlink()
        raise


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
        advice = f"the embedding was not saved ({error.strerror}); free some space or choose another folder"
    return OSError(error.errno, advice, str(path))
