"""The host's models/embeddings: which files there are, where they lie, and what a prompt reads of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import comfy.sd1_clip
import folder_paths
import torch
from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.diffusers_pair import files_of, first_half
from ....dti_core.files.file_kind import EXTENSIONS, fingerprint
from ...prompt_name import EXTENSIONS as PROMPT_EXTENSIONS
from ...prompt_name import check_embedding_name, cleaned

# What the host appends to a name, in the order in which it looks.
HOST_EXTENSIONS = ("", *PROMPT_EXTENSIONS)


def embedding_files() -> list[str]:
    """Files in the embedding folders that this pack reads, as the host lists them; a pair by its first file."""
    files = {str(file.relative_to(root)) for root, file in all_files() if file.name.lower().endswith(EXTENSIONS)}
    return sorted(file for file in files if first_half(file) == file or first_half(file) not in files)


def embedding_path(file: str) -> Path:
    """Where `file` of `embedding_files` lies. Raises FileNotFoundError; never leaves the embedding folders."""
    return Path(folder_paths.get_full_path_or_raise("embeddings", file))


def name_of(file: str) -> str:
    """The name by which a prompt calls `file`, with '_' for what no prompt can carry."""
    name = re.sub(r"\.(safetensors|pt|bin)$", "", file.replace("\\", "/"), flags=re.IGNORECASE)
    name = cleaned(name)
    try:
        check_embedding_name(name)
    except ValueError:
        return "concept_" + re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    return name


def file_fingerprint(path: Path) -> str:
    """The fingerprint of a file, or of both files of a pair."""
    return ", ".join(map(fingerprint, files_of(path)))


def all_files() -> Iterator[tuple[Path, Path]]:
    """Every file below the embedding folders as (folder, path).

    The host's own list fails where a folder that it has seen is deleted.
    """
    for root in folder_paths.get_folder_paths("embeddings"):
        for folder, _, files in os.walk(root, followlinks=True):
            for file in files:
                yield Path(root), Path(folder, file)


def files_called(name: str) -> list[Path]:
    """The files that `embedding:name` may mean: the host looks in every subfolder too, and in no fixed order."""
    found: dict[Path, Path] = {}
    for root in folder_paths.get_folder_paths("embeddings"):
        for folder, _, _ in os.walk(root, followlinks=True):
            paths = (Path(folder, name + extension) for extension in HOST_EXTENSIONS)
            path = next((path for path in paths if path.is_file()), None)
            if path is not None:
                found.setdefault(path.resolve(), path)
    return list(found.values())


def prompt_reads(embedding: ConceptEmbedding) -> bool:
    """Whether `embedding:` and the name read these very vectors in any prompt, for every encoder."""
    folders = folder_paths.get_folder_paths("embeddings")
    return len(files_called(embedding.name)) == 1 and all(
        reads(embedding.name, folders, key, rows) for key, rows in embedding.vectors.items()
    )


def reads(name: str, directories: Iterable[str], key: str, rows: Tensor) -> bool:
    """Whether the host's own loader finds `rows` in `directories` for the encoder `key`."""
    try:
        loaded = comfy.sd1_clip.load_embed(name, directories, rows.shape[1], key)
    except Exception:  # it looks at a stranger's file as if it were of the forms it knows
        return False
    if not torch.is_tensor(loaded) or loaded.shape[-1:] != rows.shape[1:]:
        return False
    return torch.equal(loaded.float().reshape(-1, rows.shape[1]), rows)
