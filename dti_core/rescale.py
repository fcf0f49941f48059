"""Bring an embedding to another length; what it points to stays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from .concept_embedding import ConceptEmbedding
from .derived import renamed


def rescale(embedding: ConceptEmbedding, magnitudes: Mapping[str, float], name: str) -> ConceptEmbedding:
    """Every vector brought to its encoder's magnitude, direction untouched.

    With the mean norm of the vocabulary this is what the paper calls TI-rescaled (arXiv 2512.13672, section 4).

    Args:
        magnitudes: length by encoder key, for every encoder of the embedding.
        name: of the result.

    Raises ValueError where an encoder has no magnitude, for one that is not finite and above 0, and for a
    vector of length zero.
    """
    missing = [key for key in embedding.vectors if key not in magnitudes]
    if missing:
        raise ValueError(
            f"no magnitude for {', '.join(missing)} of the embedding {embedding.name!r}; "
            f"got {', '.join(magnitudes) or 'none'}. Give one for every text encoder."
        )
    for key in embedding.vectors:
        if not (math.isfinite(magnitudes[key]) and magnitudes[key] > 0):
            raise ValueError(f"the magnitude for {key} is {magnitudes[key]:g}; it must be finite and above 0.")
    vectors = {key: rows * magnitudes[key] for key, rows in embedding.directions().items()}
    notes = {
        "dti.rescaled_from": embedding.name,
        "dti.rescaled_to": ", ".join(f"{key} {magnitudes[key]:.6g}" for key in vectors),
    }
    result = dataclasses.replace(embedding, vectors=vectors, metadata={**embedding.metadata, **notes})
    return renamed(result, name)
