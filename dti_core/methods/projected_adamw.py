"""AdamW projected onto the sphere: the ablation of Directional Textual Inversion (arXiv 2512.13672, Table 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from .. import sphere
from .textual_inversion import TextualInversion


class ProjectedAdamW(TextualInversion):
    """Textual Inversion whose rows are brought back to the norm m* after every step. There is no prior.

    AdamW steps off the sphere and knows nothing of the projection, so its moments are those of another space.

    directions: unit rows `[n_vectors, dim]` by encoder key. magnitudes: m*, `[n_vectors, 1]` by encoder key.
    learning_rate, coordinates: as for Textual Inversion.
    """

    ignores: ClassVar[frozenset[str]] = frozenset({"kappa", "kappa_share", "average"})

    def __init__(
        self,
        directions: Mapping[str, Tensor],
        magnitudes: Mapping[str, Tensor],
        learning_rate: float,
        coordinates: Mapping[str, float],
    ) -> None:
        super().__init__({key: magnitudes[key] * rows for key, rows in directions.items()}, learning_rate, coordinates)
        self._magnitudes = magnitudes

    @torch.no_grad()
    def _after_step(self) -> None:
        for key, rows in self._rows.items():
            rows.copy_(self._magnitudes[key] * sphere.projx(rows))
