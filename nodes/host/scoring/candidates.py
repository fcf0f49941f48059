"""Which embeddings are scored: those that are connected, and files of models/embeddings by a pattern of names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.embedding_file import load_embedding
from ....dti_core.training.fingerprints import digest
from ..embeddings.folder import embedding_files, embedding_path, name_of
from ..training.text_encoder import check_fits

if TYPE_CHECKING:
    from comfy.sd import CLIP

MOST = 64
STEP = re.compile(r"-step([0-9]+)(?=_[0-9]+$|$)")


def matching_files(pattern: str) -> list[str]:
    """Files of models/embeddings by a pattern ("my_concept*"): steps in order, the result of their run behind them."""
    wanted = pattern.strip().replace("\\", "/")
    if not wanted:
        return []
    return sorted((file for file in embedding_files() if fnmatchcase(name_of(file), wanted)), key=_order)


def candidates(
    clip: CLIP, connected: Sequence[ConceptEmbedding], pattern: str
) -> tuple[list[ConceptEmbedding], list[str]]:
    """The embeddings to score, each once, and what is to be said of files that are left out.

    Raises ValueError for a connected one that does not fit the CLIP, and where none or too many are left.
    """
    for one in connected:
        check_fits(clip, one)
    found, notes, files = list(connected), [], matching_files(pattern)
    if pattern.strip() and not files:
        raise ValueError(
            f"No file in models/embeddings is called {pattern!r}. Write a name as a prompt calls it, with * for "
            "anything: my_concept* is a run with all its steps."
        )
    for file in files:
        try:
            loaded = dataclasses.replace(load_embedding(embedding_path(file)), name=name_of(file))
            check_fits(clip, loaded)
            found.append(loaded)
        except (OSError, ValueError) as error:
            notes.append(f"{file} is left out: {error}")
    by_vectors: dict[str, ConceptEmbedding] = {}
    for one in found:
        first = by_vectors.setdefault(digest(sorted(one.vectors.items())), one)
        if first is not one and first.name != one.name:
            notes.append(f"{one.name} has the vectors of {first.name} and is not scored again.")
    if not by_vectors:
        raise ValueError(
            "\n".join(["There is no embedding to score: connect some, or name files in embedding_files.", *notes])
        )
    if len(by_vectors) > MOST:
        raise ValueError(
            f"{len(by_vectors)} embeddings are called {pattern!r}; at most {MOST} are scored at a time. Name fewer."
        )
    return list(by_vectors.values()), notes


def _order(file: str) -> tuple[str, float, str]:
    name = name_of(file)
    step = STEP.search(name)
    return (STEP.sub("", name), float(step[1]) if step else float("inf"), name)
