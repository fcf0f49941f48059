"""More likeness or more prompt, at use: an embedding brought nearer to the ordinary word that it started from.

Direction and norm each have a dial from 0 (the word's) to 1 (as saved). Turned alike they are the way of
`interpolation.slerp` from the word to the embedding; apart they are the two parameters of Test-time Embedding
Adjustment (`methods.adjust.adjust_to_word`): rho is 1 - likeness, alpha is 1 - norm_likeness.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from torch import Tensor

from .embedding import ConceptEmbedding
from .merging import renamed, repeated
from .methods.adjust import adjust_to_word
from .training.start import PRIORS

# In the header of a trained embedding; where the dial goes by default.
INITIALIZER = "dti.initializer"
# There too where a run went on from another embedding. Where that was the prior, the initializer meant nothing.
PRIOR = "dti.prior"


def dial(
    embedding: ConceptEmbedding,
    initializer: str,
    word: Mapping[str, Tensor],
    likeness: float,
    norm_likeness: float,
    name: str,
) -> ConceptEmbedding:
    """The embedding between a word (0) and itself (1): directions along the great circle, norms linearly.

    Exact at both ends: at 1 and 1 it is `embedding` itself, at 0 and 0 its vectors are the word's rows.

    Args:
        initializer: the word, for the header.
        word: its rows by encoder key (`Vocabulary.rows`), repeated in order where the embedding has more vectors. An
            encoder without any keeps its vectors.
        likeness: of the direction. norm_likeness: of the norm.
        name: of the result where that is not the embedding itself.

    Raises ValueError for a dial outside of [0, 1], no encoder in common, a word of more tokens than the embedding has
    vectors, and directions that are opposite.
    """
    for what, value in (("likeness", likeness), ("norm_likeness", norm_likeness)):
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{what} is {value}; it must be from 0 (the initializer's own) to 1 (as saved).")
    if likeness == norm_likeness == 1:
        return embedding
    shared = {key: rows for key, rows in embedding.vectors.items() if key in word}
    _check_word(embedding, shared, word)
    if likeness == norm_likeness == 0:
        vectors = {key: repeated(word[key], len(rows)) for key, rows in shared.items()}
    else:
        part = dataclasses.replace(embedding, vectors=shared)
        vectors = dict(adjust_to_word(part, word, name, 1 - norm_likeness, 1 - likeness).vectors)
    notes = {
        "dti.dialled_from": embedding.name,
        "dti.dialled_towards": f"{initializer}: likeness {likeness:g}, norm_likeness {norm_likeness:g}",
    }
    metadata, vectors = {**embedding.metadata, **notes}, {**embedding.vectors, **vectors}
    return renamed(dataclasses.replace(embedding, vectors=vectors, metadata=metadata), name)


def initializer_of(embedding: ConceptEmbedding, given: str = "") -> str:
    """The word to which the dial goes: the one that is given, or that of the header. Raises ValueError for neither."""
    notes = embedding.metadata
    named = notes.get(INITIALIZER, "") if notes.get(PRIOR, PRIORS[0]) == PRIORS[0] else ""
    word = given.strip() or named.strip()
    if not word:
        raise ValueError(
            f"The file of {embedding.name!r} does not name the word it started from, so likeness has nothing to go to: "
            "write an ordinary word for what it shows, such as 'dog', into initializer, or set likeness back to 1."
        )
    return word


def _check_word(embedding: ConceptEmbedding, shared: Mapping[str, Tensor], word: Mapping[str, Tensor]) -> None:
    if not shared:
        raise ValueError(
            f"the embedding {embedding.name!r} is for {', '.join(embedding.vectors)}, and the word has rows for "
            f"{', '.join(word) or 'none'}; use the clip of a checkpoint that the embedding fits."
        )
    for key, rows in shared.items():
        if len(word[key]) > len(rows):
            raise ValueError(
                f"the initializer is {len(word[key])} tokens long, and {embedding.name!r} has {len(rows)} "
                f"vector{'s' if len(rows) > 1 else ''} for {key}; write a shorter one, best a single word."
            )
