"""Counts what interrupted runs lose until they come to their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# By encoder key.
Vectors = dict[str, Tensor]


@dataclass(frozen=True)
class Count:
    """interrupted: how often. lost: steps that were done and had to be done again, the most at once and in all.

    equal: of so many runs that were resumed to their end, how many came to the vectors of the run left alone.
    """

    interrupted: int
    most_lost: int
    all_lost: int
    runs: int
    equal: int


def counted(
    wanted: int, attempt: Callable[[int], tuple[list[int], Vectors | None]], left_alone: Callable[[int], Vectors]
) -> Count:
    """Resume runs with `attempt` until so many attempts were interrupted.

    attempt: is given the number of the run; the step from which it went on and those that were then done, and the
    vectors where it came to the end. left_alone: the vectors of the run of a number that nothing disturbs.
    """
    lost, runs, equal, interrupted = [0], 0, 0, 0
    while interrupted < wanted:
        vectors, last, alone = None, 0, left_alone(runs)
        while vectors is None:
            steps, vectors = attempt(runs)
            interrupted += vectors is None
            if steps:
                lost.append(max(last - steps[0], 0))  # a host may not show every step
                last = steps[-1]
        runs, equal = runs + 1, equal + all(torch.equal(vectors[key], rows) for key, rows in alone.items())
    return Count(interrupted, max(lost), sum(lost), runs, equal)
