"""A folder of images with caption files beside them, in the order a person counts, and what tells it has changed."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# What people keep images in. One of these that Pillow cannot read is refused by name, never passed over.
PICTURE_SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .gif .bmp .tif .tiff .tga .jp2 .avif .heic .heif .jxl".split()
)
CAPTION_SUFFIXES = (".txt", ".caption")


# As kohya's trainer counts repeats, `10_dog`. Longer numbers are years and dates.
REPEATS = re.compile(r"([1-9][0-9]{0,2})_")


@dataclass(frozen=True)
class PictureFile:
    """An image, its name below the folder (with '/'), and the caption files beside it."""

    path: Path
    name: str
    captions: tuple[Path, ...]

    @property
    def subfolder(self) -> str:
        """The folder that it lies in, "" for none below the one that was chosen."""
        return PurePosixPath(self.name).parent.name

    @property
    def repeats(self) -> int:
        """What its subfolder's name begins with, 1 where that is no number."""
        found = REPEATS.match(self.subfolder)
        return int(found[1]) if found else 1


@dataclass(frozen=True)
class ConceptFolder:
    """The images of a folder in natural order, and the names of visible files that belong to none."""

    pictures: tuple[PictureFile, ...]
    others: tuple[str, ...]

    def fingerprint(self) -> str:
        """Changes when an image or a caption comes, goes, is renamed or written anew; hexadecimal."""
        files = [file for picture in self.pictures for file in (picture.path, *picture.captions)]
        states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr(states).encode()).hexdigest()


def find_pictures(folder: Path, subfolders: bool) -> ConceptFolder:
    """Look through `folder`, and through what lies in it where `subfolders` is set. Raises OSError.

    Hidden files are passed over: macOS leaves a `._photo.jpg` beside each image on foreign disks.
    """
    files: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not is_hidden(name)] if subfolders else []
        files += [Path(root, name) for name in names if not is_hidden(name)]
    captions: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in CAPTION_SUFFIXES:
            captions.setdefault(file.with_suffix(""), []).append(file)
    pictures = [
        PictureFile(file, _name(file, folder), tuple(sorted(captions.get(file.with_suffix(""), []))))
        for file in files
        if file.suffix.lower() in PICTURE_SUFFIXES
    ]
    used = {file for picture in pictures for file in (picture.path, *picture.captions)}
    others = [_name(file, folder) for file in files if file not in used]
    return ConceptFolder(
        tuple(sorted(pictures, key=lambda picture: natural_key(picture.name))),
        tuple(sorted(others, key=natural_key)),
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that systems leave behind."""
    return name.startswith(".") or name == "__MACOSX"


def natural_key(name: str) -> tuple[list[list[str | int]], str]:
    """Sorts `2.png` before `10.png`, whatever the case."""
    parts = [re.split(r"([0-9]+)", part.casefold()) for part in PurePosixPath(name).parts]
    return [[int(piece) if piece.isdecimal() else piece for piece in part] for part in parts], name


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _raise(error: OSError) -> None:
    raise error
