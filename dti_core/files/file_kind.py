"""What a file is by its name and first bytes, before anything reads it as an embedding."""

from __future__ import annotations

import errno
from pathlib import Path

EXTENSIONS = (".safetensors", ".pt", ".bin", ".pti", ".pth", ".pkl", ".sft")

LFS_POINTER = b"version https://git-lfs"
WEB_PAGE = (b"<!doctype", b"<html")


def check_kind(path: Path) -> None:
    """Raise ValueError, with what to do, for what is no embedding file at all, and OSError where there is no file."""
    if path.suffix.lower() not in EXTENSIONS:
        raise ValueError(
            f"{path} is not an embedding: its name ends in {path.suffix!r}; choose a file that ends in "
            f"{', '.join(EXTENSIONS)}."
        )
    start = _first_bytes(path)
    if start.startswith(LFS_POINTER):
        raise ValueError(
            f"{path} is not the embedding but a Git LFS pointer to it, {path.stat().st_size} bytes of text. Get the "
            "file itself: run 'git lfs pull' in its folder, or download it from the model's page."
        )
    if start.lstrip().lower().startswith(WEB_PAGE) and path.suffix.lower() != ".safetensors":
        raise ValueError(
            f"{path} is a web page, not an embedding; the site probably wanted a login. Download the file again."
        )


def is_safetensors(path: Path) -> bool:
    """Whether to read a file as safetensors: by its name, or by its bytes, as cog-sdxl's .pti and files renamed."""
    return path.suffix.lower() == ".safetensors" or _first_bytes(path)[8:9] == b"{"


def fingerprint(path: Path) -> str:
    """Size and times of a file, which change when it does; it is not read for that, as a LoRA has gigabytes."""
    found = path.stat()
    # What copies or restores a file may set its own time of change, but not the system's.
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _first_bytes(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such embedding file; choose another", str(path))
    with path.open("rb") as file:
        return file.read(64)
