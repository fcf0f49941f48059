"""The host's models/embeddings: which names are free, where a file goes, and whether the host reads it back."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

import comfy.sd1_clip
import folder_paths
import torch

from ...dti_core.concept_embedding import ConceptEmbedding
from ...dti_core.embedding_file import save_embedding
from ...dti_core.embedding_name import check_embedding_name
from .text_encoder import sub_tokenizers


def embedding_files() -> list[str]:
    """Files in the embedding folders that this pack reads, as the host lists them."""
    return [file for file in folder_paths.get_filename_list("embeddings") if file.endswith(".safetensors")]


def embedding_path(file: str) -> Path:
    """Where `file` of `embedding_files` lies. Raises FileNotFoundError; never leaves the embedding folders."""
    return Path(folder_paths.get_full_path_or_raise("embeddings", file))


def name_of(file: str) -> str:
    """The name by which a prompt calls `file`."""
    return file.replace("\\", "/").removesuffix(".safetensors")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_name(name: str, if_exists: str) -> str:
    """The name to save under. `if_exists` is "error", "number" (my_dog_2) or "replace".

    The host finds `embedding:my_dog` in subfolders too, so a name is taken by any file of that name there.

    Raises ValueError for a name that a prompt cannot carry, or that is taken.
    """
    check_embedding_name(name)
    taken = _taken_names()
    if if_exists == "replace" or not _is_taken(name, taken):
        return name
    if if_exists == "number":
        return next(n for n in (f"{name}_{i}" for i in range(2, len(taken) + 3)) if not _is_taken(n, taken))
    raise ValueError(
        f"An embedding named {name!r} is already in models/embeddings. Choose another name, or set if_exists to "
        "'number' (saves it as a new one, numbered) or 'replace' (the old file is lost)."
    )


def save_to_folder(embedding: ConceptEmbedding, overwrite: bool) -> Path:
    """Write `embedding` to models/embeddings under its name and return the path. Raises OSError."""
    path = Path(folder_paths.get_folder_paths("embeddings")[0]) / f"{embedding.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_embedding(embedding, path, overwrite=overwrite)
    return path


def check_reload(clip, embedding: ConceptEmbedding) -> None:
    """Read the saved embedding as a prompt would, encoder by encoder. Raises RuntimeError where it differs."""
    for key, tokenizer in sub_tokenizers(clip).items():
        loaded = comfy.sd1_clip.load_embed(
            embedding.name, tokenizer.embedding_directory, tokenizer.embedding_size, tokenizer.embedding_key
        )
        if loaded is None or not torch.equal(loaded, embedding.vectors[key]):
            raise RuntimeError(
                f"The file of {embedding.name!r} was saved, but a prompt would not read the same {key} vectors from "
                "it. Look for another file of that name in the embedding folders and remove it."
            )


def _is_taken(name: str, taken: list[str]) -> bool:
    # Windows and macOS do not tell upper from lower case.
    name = name.casefold()
    return any(other == name or other.endswith(f"/{name}") for other in taken)


def _taken_names() -> list[str]:
    files = (PurePosixPath(file.replace("\\", "/")) for file in folder_paths.get_filename_list("embeddings"))
    return [str(file.with_suffix("")).casefold() for file in files]
