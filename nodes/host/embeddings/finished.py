"""Results of earlier runs, known again by what the header says that they were made of."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.embedding_file import load_embedding
from ....dti_core.files.header import read_header
from .folder import all_files

MARK = "dti.run"
# Of a file that a run has left on its way.
STEP = "dti.step"


def finished(name: str, mark: str) -> tuple[ConceptEmbedding, Path] | None:
    """The embedding of this name, numbered or not, that a run with this mark came to, and its file; None without."""
    numbered = re.compile(re.escape(name) + r"(_[0-9]+)?\.safetensors")
    for root, path in all_files():
        file = path.relative_to(root).as_posix()
        if not numbered.fullmatch(file):
            continue
        try:
            notes = read_header(path).metadata
            if notes.get(MARK) == mark and STEP not in notes:
                return dataclasses.replace(load_embedding(path), name=file.removesuffix(".safetensors")), path
        except (OSError, ValueError):  # damaged: not a result
            continue
    return None
