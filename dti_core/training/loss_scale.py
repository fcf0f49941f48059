"""The factor that keeps a half-precision network's gradients between underflow and overflow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST = 2.0**24  # beyond this fp16 holds no loss that is worth training on


class LossScale:
    """A loss scale that follows the gradients (Micikevicius et al. 2018, section 3.2).

    value: what losses are multiplied by, and gradients divided by again. A network that starts at 1 needs none,
    and stays there.
    """

    def __init__(self, value: float) -> None:
        self.value = value
        self._is_needed = value != 1.0

    def go_on_at(self, value: float) -> None:
        """Take the scale of a run that goes on; not where either network needs none."""
        if self._is_needed and value != 1.0:
            self.value = value

    def update(self, gradients: Sequence[Tensor]) -> None:
        """Halve the scale where a gradient is not finite, double it where all are zero: they underflowed."""
        if not self._is_needed:
            return
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            self.value = max(self.value / 2, 1.0)
        elif not any(bool(gradient.any()) for gradient in gradients):
            self.value = min(self.value * 2, LARGEST)
