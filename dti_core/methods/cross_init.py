"""Cross Initialization (Pang et al., CVPR 2024, arXiv 2312.15905): Textual Inversion from another start."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .textual_inversion import TextualInversion

# The reference's, on a mean over elements.
REGULARISER = 1e-5


class CrossInit(TextualInversion):
    """Starts at what the text encoder makes of the initializer, and is pulled back there.

    start: the encoder's last hidden states of the initializer's tokens, behind the last norm, `[n_vectors, dim]`
        by encoder key. They are many times longer than the vocabulary's rows, and stay so.
    learning_rate, coordinates: as for Textual Inversion; the coordinates are those of words, not of the start.
    regulariser: weight of the mean square distance from the start, per encoder, in the loss.
    """

    def __init__(
        self,
        start: Mapping[str, Tensor],
        learning_rate: float,
        coordinates: Mapping[str, float],
        regulariser: float = REGULARISER,
    ) -> None:
        super().__init__(start, learning_rate, coordinates)
        self._start = {key: rows.clone() for key, rows in start.items()}
        self._regulariser = regulariser

    @torch.no_grad()
    def _before_step(self) -> None:
        for key, rows in self._rows.items():
            if rows.grad is not None:
                rows.grad += 2 * self._regulariser * (rows - self._start[key]) / rows.numel()
