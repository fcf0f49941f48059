"""The host's models/embeddings: which names are free, where a file goes, and whether the host reads it back."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import comfy.sd1_clip
import folder_paths
import torch
from torch import Tensor

from ...dti_core.concept_embedding import ConceptEmbedding
from ...dti_core.diffusers_pair import files_of, first_half
from ...dti_core.embedding_file import EXTENSIONS, load_embedding, save_diffusers_pair, save_embedding
from ...dti_core.embedding_name import check_embedding_name
from .text_encoder import sub_tokenizers


def embedding_files() -> list[str]:
    """Files in the embedding folders that this pack reads, as the host lists them; a pair by its first file."""
    files = [file for file in folder_paths.get_filename_list("embeddings") if file.lower().endswith(EXTENSIONS)]
    listed = set(files)
    return [file for file in files if first_half(file) == file or first_half(file) not in listed]


def embedding_path(file: str) -> Path:
    """Where `file` of `embedding_files` lies. Raises FileNotFoundError; never leaves the embedding folders."""
    return Path(folder_paths.get_full_path_or_raise("embeddings", file))


def name_of(file: str) -> str:
    """The name by which a prompt calls `file`, with '_' for what no prompt can carry."""
    name = re.sub(r"\.(safetensors|pt|bin)$", "", file.replace("\\", "/"), flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", name)
    try:
        check_embedding_name(name)
    except ValueError:
        return "word_" + re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    return name


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of both files of a pair, hexadecimal."""
    digest = hashlib.sha256()
    for part in files_of(path):
        with part.open("rb") as file:
            # A LoRA with embeddings in it is too large to be held at once.
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()


def prompt_reads(embedding: ConceptEmbedding) -> bool:
    """Whether `embedding:` and the name read these very vectors in any prompt, for every encoder."""
    folders = folder_paths.get_folder_paths("embeddings")
    return all(_reads(embedding.name, folders, key, rows) for key, rows in embedding.vectors.items())


def free_name(name: str, if_exists: str, file: str = "") -> str:
    """The name to save under. `if_exists` is "error", "number" (my_dog_2) or "replace".

    file: follows the name where that is a folder, as "/learned_embeds".

    The host finds `embedding:my_dog` in subfolders too, so a name is taken by any file of that name there.

    Raises ValueError for a name that a prompt cannot carry, or that is taken.
    """
    check_embedding_name(name)
    taken = _taken_names()
    if if_exists == "replace" or not _is_taken(name + file, taken):
        return name
    if if_exists == "number":
        return next(n for n in (f"{name}_{i}" for i in range(2, len(taken) + 3)) if not _is_taken(n + file, taken))
    raise ValueError(
        f"An embedding named {name!r} is already in models/embeddings. Choose another name, or set if_exists to "
        "'number' (saves it as a new one, numbered) or 'replace' (the old file is lost)."
    )


def save_to_folder(embedding: ConceptEmbedding, overwrite: bool) -> Path:
    """Write `embedding` to models/embeddings under its name and return the path. Raises OSError."""
    path = _folder() / f"{embedding.name}.safetensors"
    save_embedding(embedding, path, overwrite=overwrite)
    return path


def save_pair_to_folder(embedding: ConceptEmbedding, overwrite: bool) -> Path:
    """Write diffusers' files into a folder of the embedding's name in models/embeddings; the folder's path.

    Raises OSError, and ValueError where diffusers has no such form.
    """
    files = save_diffusers_pair(embedding, _folder() / embedding.name, overwrite=overwrite)
    loaded = load_embedding(files[0]).vectors
    if any(not torch.equal(loaded[key], rows) for key, rows in embedding.vectors.items()):
        raise RuntimeError(f"The files in {files[0].parent} were saved, but do not read the same. Check the disk.")
    return files[0].parent


def check_reload(clip, embedding: ConceptEmbedding) -> None:
    """Read the saved embedding as a prompt would, encoder by encoder. Raises RuntimeError where it differs."""
    for key, tokenizer in sub_tokenizers(clip).items():
        if not _reads(embedding.name, tokenizer.embedding_directory, key, embedding.vectors[key]):
            raise _not_reloaded(embedding.name, key)


def check_prompt_reads(embedding: ConceptEmbedding) -> None:
    """As `check_reload`, without a CLIP: in the host's own folders."""
    if not prompt_reads(embedding):
        raise _not_reloaded(embedding.name, "")


def _folder() -> Path:
    return Path(folder_paths.get_folder_paths("embeddings")[0])


def _reads(name: str, directories, key: str, rows: Tensor) -> bool:
    loaded = comfy.sd1_clip.load_embed(name, directories, rows.shape[1], key)
    if not torch.is_tensor(loaded) or loaded.shape[-1:] != rows.shape[1:]:
        return False
    return torch.equal(loaded.float().reshape(-1, rows.shape[1]), rows)


def _not_reloaded(name: str, key: str) -> RuntimeError:
    return RuntimeError(
        f"The file of {name!r} was saved, but a prompt would not read the same {key} vectors from it. "
        "Look for another file of that name in the embedding folders and remove it."
    )


def _is_taken(name: str, taken: list[str]) -> bool:
    # Windows and macOS do not tell upper from lower case.
    name = name.casefold()
    return any(other == name or other.endswith(f"/{name}") for other in taken)


def _taken_names() -> list[str]:
    files = (PurePosixPath(file.replace("\\", "/")) for file in folder_paths.get_filename_list("embeddings"))
    return [str(file.with_suffix("")).casefold() for file in files]
