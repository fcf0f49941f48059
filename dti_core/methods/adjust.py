"""Methods that change a trained embedding and train nothing: TI-rescaled, and Test-time Embedding Adjustment."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..embedding import ConceptEmbedding
from ..merging import renamed, repeated
from ..sphere import expmap, logmap, projx


def rescale(embedding: ConceptEmbedding, magnitudes: Mapping[str, float], name: str) -> ConceptEmbedding:
    """Every vector brought to its encoder's magnitude, direction untouched.

    With the mean norm of the vocabulary this is what Directional Textual Inversion calls TI-rescaled (arXiv
    2512.13672, section 4).

    Args:
        magnitudes: norm by encoder key. An encoder without one keeps its vectors as they are.
        name: of the result.

    Raises ValueError where no encoder has a magnitude, for one that is not finite and above 0, and for a
    vector of norm zero.
    """
    keys = [key for key in embedding.vectors if key in magnitudes]
    if not keys:
        raise ValueError(
            f"no magnitude for {', '.join(embedding.vectors)} of the embedding {embedding.name!r}; "
            f"got {', '.join(magnitudes) or 'none'}. Give one for each text encoder that is to be rescaled."
        )
    for key in keys:
        if not (math.isfinite(magnitudes[key]) and magnitudes[key] > 0):
            raise ValueError(f"the magnitude for {key} is {magnitudes[key]:g}; it must be finite and above 0.")
    rescaled = {key: projx(embedding.vectors[key]) * magnitudes[key] for key in keys}
    vectors = {**embedding.vectors, **rescaled}
    notes = {
        "dti.rescaled_from": embedding.name,
        "dti.rescaled_to": ", ".join(f"{key} {magnitudes[key]:.6g}" for key in keys),
    }
    result = dataclasses.replace(embedding, vectors=vectors, metadata={**embedding.metadata, **notes})
    return renamed(result, name)


def adjust_to_word(
    embedding: ConceptEmbedding,
    word: Mapping[str, Tensor],
    name: str,
    norm_share: float = 0.5,
    turn_share: float = 0.2,
) -> ConceptEmbedding:
    """Every vector brought nearer to an ordinary word, in norm and in direction.

    Test-time Embedding Adjustment, TEA (Bui et al. 2025, arXiv 2506.22685), as its code has it
    (`adjust_norm_and_slerp` of github.com/tuananhbui89/Embedding-Adjustment): the norm becomes (1 - alpha) times its
    own and alpha times the word's, then the direction goes rho of the way to the word by slerp. Its scripts use alpha
    0.5, with rho 0.2, or 0.4 for Textual Inversion.

    Args:
        word: the word's rows by encoder key (`Vocabulary.rows`), repeated in order where the embedding has more.
        name: of the result.
        norm_share: alpha. 0 keeps the norm, 1 takes the word's.
        turn_share: rho. Of the angle to the word, along the great circle; 0 keeps the direction.

    Raises ValueError for a share outside of [0, 1], an encoder without a word, a vector of norm zero, and one that
    is opposite to the word.
    """
    for what, share in (("norm_share", norm_share), ("turn_share", turn_share)):
        if not 0 <= share <= 1:
            raise ValueError(f"{what} is {share}; it must be from 0 (as trained) to 1 (as the word).")
    missing = [key for key in embedding.vectors if key not in word]
    if missing:
        raise ValueError(f"no rows of the word for {', '.join(missing)}; give them for every encoder of the embedding.")
    vectors = {}
    for key, rows in embedding.vectors.items():
        own, other = rows.double(), repeated(word[key], len(rows)).to(rows.device).double()
        x, y = projx(own), projx(other)
        norm = torch.lerp(own.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True), norm_share)
        vectors[key] = (norm * expmap(x, turn_share * logmap(x, y))).float()
    notes = {
        "dti.adjusted_from": embedding.name,
        "dti.adjusted_by": f"norm_share {norm_share:g}, turn_share {turn_share:g}",
    }
    result = dataclasses.replace(embedding, vectors=vectors, metadata={**embedding.metadata, **notes})
    return renamed(result, name)
