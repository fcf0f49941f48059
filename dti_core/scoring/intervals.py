"""Intervals for means over groups that each have several values: concepts and training seeds, prompts and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
DRAWS = 4000


@dataclass(frozen=True)
class Interval:
    """A mean, the ends of its 95 % interval, and of how many values it is."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "-"
        if self.low == self.high:  # one value tells nothing of its spread
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


NONE = Interval(float("nan"), float("nan"), float("nan"), 0)


def bootstrap(values: Values) -> Interval:
    """Percentile bootstrap in two stages: groups with replacement, then each one's values with replacement.

    values: [groups, values], nan where there is none; groups without any are left out. Groups weigh alike.
    """
    rows = [row[np.isfinite(row)] for row in values]
    rows = [row for row in rows if len(row)]
    if not rows:
        return NONE
    return _interval(float(np.mean([row.mean() for row in rows])), _draw(rows), sum(map(len, rows)))


def bootstrap_ratio(values: Values, bases: Values) -> Interval:
    """The mean of `values` over the mean of `bases`, both [groups, values], of groups that have both, drawn alike.

    Without an interval where the mean of the bases may as well be zero: the ratio could be anything.
    """
    both = [(a[np.isfinite(a)], b[np.isfinite(b)]) for a, b in zip(values, bases, strict=True)]
    both = [(a, b) for a, b in both if len(a) and len(b)]
    if not both:
        return NONE
    above, below = ([pair[n] for pair in both] for n in (0, 1))
    drawn = _draw(below)
    if np.percentile(drawn, 2.5) <= 0:
        return NONE
    means = [np.mean([row.mean() for row in rows]) for rows in (above, below)]
    return _interval(float(means[0] / means[1]), _draw(above) / drawn, sum(map(len, above)))


def _interval(mean: float, drawn: Values, count: int) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(mean, float(low), float(high), count)


def _draw(rows: list[Values]) -> Values:
    """Means of resampled groups and values [draws]; the same groups for every list of as many rows."""
    size = len(rows)
    chosen = np.random.default_rng(0).integers(size, size=(DRAWS, size))
    rng = np.random.default_rng(1)
    # Means of resampled values, [groups, draws, times a group may be drawn].
    resampled = np.stack([_means(row, (DRAWS, size), rng) for row in rows])
    return np.asarray(resampled[chosen, np.arange(DRAWS)[:, None], np.arange(size)[None, :]].mean(1))


def _means(row: Values, shape: tuple[int, int], rng: np.random.Generator) -> Values:
    if len(row) == 1:
        return np.full(shape, row[0])
    drawn = rng.integers(len(row), size=(*shape, len(row)))
    return np.asarray(row[drawn].mean(-1))
