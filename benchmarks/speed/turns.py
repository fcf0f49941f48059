"""Several kinds of work timed in turns, so that each round of them sees the same minute of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

# Does a piece of work and returns the seconds that one unit of it took.
Timed = Callable[[], float]

# Of this process on all its threads: what else the machine does enters only through its caches.
clock = time.process_time


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


def in_turns(work: Mapping[str, Timed], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind of work in each round; a first round, in which things are made ready, is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, timed in work.items():
            taken = timed()
            if number > 0:
                seconds[name].append(taken)
    return seconds


def repeated(run: Callable[[], object], times: int) -> Timed:
    """The seconds of one `run`, as a mean over several."""

    def timed() -> float:
        start = clock()
        for _ in range(times):
            run()
        return (clock() - start) / times

    return timed


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio within each round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(low, median(values), high)
