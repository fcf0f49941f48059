"""Saving to the host's models/embeddings: under which name, and whether a prompt then reads it back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
import torch

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.atomic_write import check_writable
from ....dti_core.files.embedding_file import load_embedding, save_diffusers_pair, save_embedding
from ....dti_core.merging import renamed
from ...prompt_name import check_embedding_name, trigger
from ..encoders import sub_tokenizers
from .folder import all_files, files_called, reads

if TYPE_CHECKING:
    from comfy.sd import CLIP

# How often a name is chosen anew where others take it at the same moment.
ATTEMPTS = 20


def free_name(name: str, if_exists: str, file: str = "") -> str:
    """The name to save under. `if_exists` is "error", "number" (my_dog_2) or "replace".

    file: follows the name where that is a folder, as "/learned_embeds".

    The host finds `embedding:my_dog` in subfolders too, so a name is taken by any file of that name there.

    Raises ValueError for a name that a prompt cannot carry, or that is taken; OSError where nothing could be
    written under it.
    """
    check_embedding_name(name)
    if if_exists == "replace":
        _check_only_one(name, file)
    else:
        taken = _taken_names()
        holder = _holder(name + file, taken)
        if holder is not None and if_exists == "number":
            name = next(n for n in (f"{name}_{i}" for i in range(2, len(taken) + 3)) if not _holder(n + file, taken))
        elif holder is not None:
            raise ValueError(
                f"An embedding named {name!r} is already in models/embeddings ({holder}). Choose another name, or set "
                "if_exists to 'number' (saves it as a new one, numbered) or 'replace' (the old file is lost)."
            )
    check_writable(_file_of(name + file))
    return name


def save_to_folder(embedding: ConceptEmbedding, if_exists: str) -> tuple[ConceptEmbedding, Path]:
    """Write to models/embeddings; what was written, with the name that it got, and its path.

    Only now is the name settled: another ComfyUI may have taken it meanwhile. Raises as `free_name` and OSError.
    """

    def write(named: ConceptEmbedding) -> Path:
        path = _file_of(named.name)
        save_embedding(named, path, overwrite=if_exists == "replace")
        return path

    return _settled(embedding, if_exists, "", write)


def save_pair_to_folder(embedding: ConceptEmbedding, if_exists: str) -> tuple[ConceptEmbedding, Path]:
    """As `save_to_folder` for diffusers' files, in a folder of the embedding's name; that folder's path.

    Raises ValueError too where diffusers has no such form.
    """

    def write(named: ConceptEmbedding) -> Path:
        files = save_diffusers_pair(named, _folder() / named.name, overwrite=if_exists == "replace")
        loaded = load_embedding(files[0]).vectors
        if any(not torch.equal(loaded[key], rows) for key, rows in named.vectors.items()):
            raise RuntimeError(f"The files in {files[0].parent} were saved, but do not read the same. Check the disk.")
        return files[0].parent

    return _settled(embedding, if_exists, "/learned_embeds", write)


def keep(embedding: ConceptEmbedding, replace: bool) -> tuple[ConceptEmbedding, Path]:
    """Save what was trained, numbered where its name cannot be had. Raises OSError.

    A run that was killed and went on finds steps that it had saved before; those stay.
    """
    if _is_saved(embedding):
        return embedding, _file_of(embedding.name)
    if replace:
        try:
            return save_to_folder(embedding, "replace")
        except ValueError:
            pass
    return save_to_folder(embedding, "number")


def check_reload(clip: CLIP, embedding: ConceptEmbedding) -> None:
    """Read the saved embedding as a prompt would, encoder by encoder. Raises RuntimeError where it differs.

    Tokenizers that look for no files leave that to Load DTI Embedding, which looks in the host's folders.
    """
    for key, tokenizer in sub_tokenizers(clip).items():
        _check_reads(embedding, tokenizer.embedding_directory or folder_paths.get_folder_paths("embeddings"), key)


def check_prompt_reads(embedding: ConceptEmbedding) -> None:
    """As `check_reload`, without a CLIP: in the host's own folders."""
    for key in embedding.vectors:
        _check_reads(embedding, folder_paths.get_folder_paths("embeddings"), key)


def _settled(
    embedding: ConceptEmbedding, if_exists: str, file: str, write: Callable[[ConceptEmbedding], Path]
) -> tuple[ConceptEmbedding, Path]:
    for attempt in range(1, ATTEMPTS + 1):
        named = _with_trigger(renamed(embedding, free_name(embedding.name, if_exists, file)))
        try:
            return named, write(named)
        except FileExistsError:
            if if_exists != "number" or attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _with_trigger(embedding: ConceptEmbedding) -> ConceptEmbedding:
    phrase = {"modelspec.trigger_phrase": trigger(embedding.name).strip()}
    return dataclasses.replace(embedding, metadata={**embedding.metadata, **phrase})


def _is_saved(embedding: ConceptEmbedding) -> bool:
    """Whether the file of that name is the only one, and has these vectors and says the same of how they came about."""
    path = _file_of(embedding.name)
    if not path.exists() or files_called(embedding.name) != [path]:
        return False
    try:
        saved = load_embedding(path)
    except (OSError, ValueError):  # damaged: not what was saved
        return False
    same = saved.vectors.keys() == embedding.vectors.keys() and _recipe(saved) == _recipe(embedding)
    return same and all(torch.equal(saved.vectors[key], rows) for key, rows in embedding.vectors.items())


def _recipe(embedding: ConceptEmbedding) -> dict[str, str]:
    return {key: value for key, value in embedding.metadata.items() if key.startswith("dti.")}


def _folder() -> Path:
    return Path(folder_paths.get_folder_paths("embeddings")[0])


def _file_of(name: str) -> Path:
    return _folder() / f"{name}.safetensors"


def _check_only_one(name: str, file: str) -> None:
    own = _file_of(name)
    # A pair is read by its file and not by its name.
    others = [] if file else [path for path in files_called(name) if not _gives_way(path, own)]
    if others:
        raise ValueError(
            f"Another embedding named {name!r} is {others[0]}, and a prompt might read either. Remove or rename that "
            "file, or choose another name."
        )


def _gives_way(path: Path, own: Path) -> bool:
    """Whether prompts read `own` where both are there: it is the same file, or in its folder and looked for later."""
    if own.exists() and path.samefile(own):
        return True
    return path.suffix != "" and path.with_suffix("") == own.with_suffix("")


def _check_reads(embedding: ConceptEmbedding, directories: Iterable[str], key: str) -> None:
    if not reads(embedding.name, directories, key, embedding.vectors[key]):
        files = ", ".join(map(str, files_called(embedding.name)))
        raise RuntimeError(
            f"The file of {embedding.name!r} was saved, but a prompt would not read the same {key} vectors from it. "
            f"A prompt looks for them in: {files or 'no file'}. Remove or rename what is not this one."
        )


def _holder(name: str, taken: dict[str, Path]) -> Path | None:
    # Windows and macOS do not tell upper from lower case.
    name = name.casefold()
    return next((path for other, path in taken.items() if other == name or other.endswith(f"/{name}")), None)


def _taken_names() -> dict[str, Path]:
    """By name, in lower case and with folders, the file that has it."""
    extensions = {"", *folder_paths.supported_pt_extensions}
    return {
        path.relative_to(root).with_suffix("").as_posix().casefold(): path
        for root, path in all_files()
        if path.suffix.lower() in extensions
    }
