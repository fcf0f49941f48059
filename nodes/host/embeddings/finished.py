"""Results of earlier runs, known again by what the header says that they were made of."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.embedding_file import load_embedding
from ....dti_core.files.header import read_header
from ....dti_core.training.fingerprints import digest
from .folder import all_files

MARK = "dti.run"


def sealed(result: ConceptEmbedding) -> ConceptEmbedding:
    """The result of a run, whose mark, where it has one, is then that of its vectors too.

    So it is not that of steps on the way, whose files say the same of the run, nor of what is made of it later.
    """
    if MARK not in result.metadata:
        return result
    seal = {MARK: _seal(result.metadata[MARK], result.vectors)}
    return dataclasses.replace(result, metadata={**result.metadata, **seal})


def finished(name: str, mark: str) -> tuple[ConceptEmbedding, Path] | None:
    """The embedding of this name, numbered or not, that a run with this mark came to, and its file; None without."""
    numbered = re.compile(re.escape(name) + r"(_[0-9]+)?\.safetensors")
    for root, path in all_files():
        file = path.relative_to(root).as_posix()
        if not numbered.fullmatch(file):
            continue
        try:
            if MARK not in read_header(path).metadata:
                continue
            found = load_embedding(path)
            if found.metadata[MARK] == _seal(mark, found.vectors):
                return dataclasses.replace(found, name=file.removesuffix(".safetensors")), path
        except (OSError, ValueError):  # damaged: not a result
            continue
    return None


def _seal(mark: str, vectors: Mapping[str, Tensor]) -> str:
    return digest((mark, sorted(vectors.items())))
