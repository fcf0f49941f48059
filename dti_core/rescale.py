"""Bring an embedding to another length; what it points to stays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from .embedding import ConceptEmbedding
from .merging import renamed
from .sphere import projx


def rescale(embedding: ConceptEmbedding, magnitudes: Mapping[str, float], name: str) -> ConceptEmbedding:
    """Every vector brought to its encoder's magnitude, direction untouched.

    With the mean norm of the vocabulary this is what the paper calls TI-rescaled (arXiv 2512.13672, section 4).

    Args:
        magnitudes: length by encoder key. An encoder without one keeps its vectors as they are.
        name: of the result.

    Raises ValueError where no encoder has a magnitude, for one that is not finite and above 0, and for a
    vector of length zero.
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
