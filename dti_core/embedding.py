"""A trained embedding: what a training run returns and an embedding file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .sphere import projx


@dataclass(frozen=True, eq=False)
class ConceptEmbedding:
    """Vectors of one concept, for each text encoder of a model.

    `vectors` maps an encoder key ("clip_l", "clip_g", ...) to [n_vectors, dim]. They are kept as float32
    copies on the CPU, so that a run that goes on does not change an embedding it has handed out. `metadata`
    goes into the file.

    Encoders may differ in the number of vectors, as the host reads such files too; what training makes does not.

    Raises ValueError where the vectors are missing, not 2-D, not floating point or not finite, and for metadata
    that is not text.
    """

    name: str
    vectors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.vectors:
            raise ValueError(
                f"embedding {self.name!r} has no vectors; give at least one encoder's [n_vectors, dim]."
            )
        for key, rows in self.vectors.items():
            _check_vectors(self.name, key, rows)
        for key, value in self.metadata.items():
            if not isinstance(value, str):
                raise ValueError(
                    f"metadata {key!r} is {type(value).__name__}; a header holds text, pass str(...)."
                )
        copies = {key: _cpu_copy(rows) for key, rows in self.vectors.items()}
        object.__setattr__(self, "vectors", copies)
        object.__setattr__(self, "metadata", dict(self.metadata))

    @property
    def n_vectors(self) -> int:
        """Number of prompt tokens the concept takes, in the encoder where it takes most."""
        return max(self.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Encoder key to the number of vectors."""
        return {key: len(rows) for key, rows in self.vectors.items()}

    @property
    def widths(self) -> dict[str, int]:
        """Encoder key to embedding width."""
        return {key: rows.shape[1] for key, rows in self.vectors.items()}

    def norms(self) -> dict[str, Tensor]:
        """Encoder key to the L2 norm of each vector [n_vectors]."""
        return {key: rows.norm(dim=-1) for key, rows in self.vectors.items()}

    def directions(self) -> dict[str, Tensor]:
        """Encoder key to unit vectors [n_vectors, dim]. Raises ValueError for a vector of norm zero."""
        return {key: projx(rows) for key, rows in self.vectors.items()}


def _check_vectors(name: str, key: str, rows: Tensor) -> None:
    if rows.ndim != 2 or 0 in rows.shape:
        advice = " (a single vector is [1, dim]: use unsqueeze(0))" if rows.ndim == 1 else ""
        raise ValueError(
            f"{key} of embedding {name!r} has shape {tuple(rows.shape)}, not [n_vectors, dim]{advice}."
        )
    if not rows.is_floating_point():
        raise ValueError(f"{key} of embedding {name!r} is {rows.dtype}; vectors must be floating point.")
    bad = (~rows.isfinite().all(dim=-1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"{key} of embedding {name!r} has NaN or infinite values in vector {', '.join(map(str, bad))}; "
            "the run or the file it comes from is broken, go back to an earlier one."
        )


def _cpu_copy(rows: Tensor) -> Tensor:
    return rows.detach().to("cpu", torch.float32, copy=True, memory_format=torch.contiguous_format)
