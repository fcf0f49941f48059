"""Intervals for means over concepts and training seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
DRAWS = 4000


@dataclass(frozen=True)
class Interval:
    """A mean, the ends of its 95 % interval, and of how many runs it is."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "-"
        if self.low == self.high:  # one run tells nothing of its spread
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: Values, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Percentile bootstrap in two stages: concepts with replacement, then each one's seeds with replacement.

    values: [concepts, seeds], nan where there is no run; concepts without any run are left out. Concepts weigh alike.
    """
    rows = [row[np.isfinite(row)] for row in values]
    rows = [row for row in rows if len(row)]
    if not rows:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    # Means of resampled seeds, [concepts, draws, times a concept may be drawn].
    size = len(rows)
    resampled = np.stack([_means(row, (draws, size), rng) for row in rows])
    chosen = rng.integers(size, size=(draws, size))
    means = resampled[chosen, np.arange(draws)[:, None], np.arange(size)[None, :]].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(np.mean([row.mean() for row in rows])), float(low), float(high), sum(map(len, rows)))


def _means(row: Values, shape: tuple[int, int], rng: np.random.Generator) -> Values:
    drawn = rng.integers(len(row), size=(*shape, len(row)))
    return np.asarray(row[drawn].mean(-1))
