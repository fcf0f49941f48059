"""Embeddings made from others: their name, and what their header says of where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .embedding import ConceptEmbedding

# What stays true of a mixture when it is true of all that went in.
SHARED_NOTES = tuple(
    f"modelspec.{key}" for key in ("sai_model_spec", "architecture", "implementation", "resolution", "prediction_type")
)


def renamed(embedding: ConceptEmbedding, name: str) -> ConceptEmbedding:
    """The same vectors under another name, in the header too."""
    return dataclasses.replace(embedding, name=name, metadata={**embedding.metadata, **_title(name)})


def merged(
    name: str, vectors: Mapping[str, Tensor], parents: Sequence[ConceptEmbedding], notes: Mapping[str, str]
) -> ConceptEmbedding:
    """An embedding made of several; the header names them (`modelspec.merged_from`) and carries `notes`."""
    first = parents[0].metadata
    shared = {
        key: first[key]
        for key in SHARED_NOTES
        if key in first and all(parent.metadata.get(key) == first[key] for parent in parents)
    }
    sources = {"modelspec.merged_from": ", ".join(parent.name for parent in parents)}
    return ConceptEmbedding(name, vectors, {**shared, **_title(name), **sources, **notes})


def check_alike(embeddings: Sequence[ConceptEmbedding]) -> None:
    """Raise ValueError, naming both, unless all have the same encoders, widths and numbers of vectors."""
    first = embeddings[0]
    for other in embeddings[1:]:
        if other.widths != first.widths:
            raise ValueError(
                f"the embeddings {first.name!r} and {other.name!r} are for different text encoders: "
                f"{_listed(first.widths)} and {_listed(other.widths)}. Use two that were made for the same model."
            )
        if other.counts != first.counts:
            raise ValueError(
                f"the embedding {first.name!r} has {_vectors(first)} and {other.name!r} has {_vectors(other)}; both "
                "need the same number, because each vector meets the one in its place. Set padding to 'repeat', which "
                "repeats the vectors of the one with fewer, or choose two of one number."
            )


def padded(embeddings: Sequence[ConceptEmbedding]) -> list[ConceptEmbedding]:
    """Embeddings of one number of vectors per encoder: the vectors of those with fewer repeated in order.

    As training repeats the tokens of an initializer: of two vectors, four are first, second, first, second.
    """
    most: dict[str, int] = {}
    for embedding in embeddings:
        for key, count in embedding.counts.items():
            most[key] = max(most.get(key, 0), count)
    return [
        dataclasses.replace(embedding, vectors={k: repeated(v, most[k]) for k, v in embedding.vectors.items()})
        for embedding in embeddings
    ]


def repeated(rows: Tensor, count: int) -> Tensor:
    """`rows` [n, dim] repeated in order, or cut, to [count, dim]."""
    return rows[torch.arange(count) % len(rows)]


def _title(name: str) -> dict[str, str]:
    return {"modelspec.title": name}


def _vectors(embedding: ConceptEmbedding) -> str:
    counts = embedding.counts
    if len(set(counts.values())) == 1:
        return f"{embedding.n_vectors} vector{'s' if embedding.n_vectors > 1 else ''}"
    return ", ".join(f"{count} for {key}" for key, count in counts.items()) + " vectors"


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {width}" for key, width in widths.items())
