"""The host's input folder: its subfolders, and which of them has images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ..concept_images.concept_folder import ConceptFolder, find_pictures, is_hidden, natural_key

# Offered where there is none yet: a fresh installation has no folder of images to pick.
FIRST_FOLDER = "my_concept"


def input_folders() -> list[str]:
    """Folders below `input`, recursively, with '/'."""
    root = folder_paths.get_input_directory()
    folders = {FIRST_FOLDER}
    for parent, names, _ in os.walk(root):
        names[:] = [name for name in names if not is_hidden(name)]
        folders.update(Path(parent, name).relative_to(root).as_posix() for name in names)
    return sorted(folders, key=natural_key)


def concept_folder(folder: str, subfolders: bool) -> ConceptFolder:
    """The images of a folder below `input`. Raises ValueError, in words for the node, where there are none."""
    path = _path_below_input(folder)
    if not path.is_dir():
        raise ValueError(
            f"There is no folder {folder!r} yet. Press 'upload images' on Load Concept Images or drop 3 to 6 "
            f"images onto it; or make the folder yourself, {path}, and put them there."
        )
    found = find_pictures(path, subfolders)
    if found.pictures:
        return found
    below = () if subfolders else find_pictures(path, True).pictures
    if below:
        names = sorted({picture.name.rpartition("/")[0] for picture in below}, key=natural_key)
        raise ValueError(
            f"The folder {folder!r} has its images in subfolders: {_some(names)}. "
            "Choose one of those as folder, or switch subfolders on."
        )
    instead = f" It holds {_some(found.others)}." if found.others else " It is empty."
    raise ValueError(
        f"The folder {folder!r} has no images.{instead} Press 'upload images' on Load Concept Images, drop 3 to "
        f"6 images onto it, or put them into {path}."
    )


def concept_folders(folder: str) -> list[str]:
    """The folders in a folder below `input`, each for a concept, as `concept_folder` takes them.

    Raises ValueError, in words for the node, where there are none.
    """
    path = _path_below_input(folder)
    if not path.is_dir():
        raise ValueError(f"There is no folder {path} yet. Make it, and in it a folder for each concept.")
    names = [one.name for one in path.iterdir() if one.is_dir() and not is_hidden(one.name)]
    if not names:
        raise ValueError(
            f"The folder {folder!r} has no folders in it. Put the images of each concept into one of its own there, "
            "called by name and initializer as in 'rex dog'; for one concept use Load Concept Images."
        )
    return [f"{folder}/{name}" for name in sorted(names, key=natural_key)]


def input_fingerprint(folder: str | None, subfolders: bool | None) -> str:
    """Changes when the images or captions do. What comes by a link is not known yet: then by anything below."""
    path = _path_below_input(folder) if folder is not None else Path(folder_paths.get_input_directory())
    return find_pictures(path, subfolders is not False or folder is None).fingerprint()


def _path_below_input(folder: str) -> Path:
    root = os.path.abspath(folder_paths.get_input_directory())
    path = os.path.abspath(os.path.join(root, folder))
    if not path.startswith(os.path.join(root, "")):
        raise ValueError(f"folder is {folder!r}; choose a folder inside of ComfyUI's input folder, {root}.")
    return Path(path)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
