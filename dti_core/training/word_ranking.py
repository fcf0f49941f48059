"""Words by the loss that each has on the same noisy images, and whether the difference means anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

# Of a normal distribution's 95 % interval, in standard errors.
STANDARD_ERRORS = 1.96


@dataclass(frozen=True)
class RankedWord:
    """A word's mean loss, how far that is above the best word's, and the half of the 95 % interval of the difference.

    The interval is over the noisy images: each is measured with every word, so that what makes one of them hard
    cancels out.
    """

    word: str
    loss: float
    above: float
    spread: float

    @property
    def is_apart(self) -> bool:
        """Whether it is worse than the best word beyond the interval."""
        return self.above > self.spread


def ranked(losses: Mapping[str, Tensor]) -> list[RankedWord]:
    """Words, the one with the lowest loss first; of equal ones that which was given first.

    losses: by word, `[size]`, of the same noisy images in the same order (`EvaluationSet.losses`).

    Raises ValueError for fewer than two noisy images, which have no spread, and where no loss is a finite number. A
    word with a loss that is not finite comes last.
    """
    means = {word: float(own.double().mean()) for word, own in losses.items()}
    finite = sorted((word for word in means if math.isfinite(means[word])), key=means.__getitem__)
    if not finite:
        raise ValueError(
            "The loss is a finite number with none of the words. Try the model in bf16 or fp32 instead of fp16, or "
            "without LoRAs and patches."
        )
    best = losses[finite[0]].double()
    if len(best) < 2:
        raise ValueError(f"got losses of {len(best)} noisy image; give at least 2, one has no spread.")
    broken = [RankedWord(word, means[word], math.inf, 0.0) for word in means if word not in finite]
    return [_ranked(word, losses[word].double(), best) for word in finite] + broken


def _ranked(word: str, own: Tensor, best: Tensor) -> RankedWord:
    above = own - best
    error = float(above.std()) / math.sqrt(len(above))
    return RankedWord(word, float(own.mean()), float(above.mean()), STANDARD_ERRORS * error)
