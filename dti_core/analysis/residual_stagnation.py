"""Effect II: a long vector passes through the encoder without turning (paper 2.2, Lemma 2 and Proposition 1).

Each pre-norm block adds an update of bounded norm to the hidden state, so a state of large norm hardly turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ..sphere import dist, projx


def block_angles(states: Tensor) -> Tensor:
    """Angle between what enters and what leaves each block, in radians (Lemma 2; averaged in paper 2.3).

    states: a token's hidden states [..., L + 1, dim], the encoder's input first. Returns [..., L].
    Raises ValueError for a state of norm zero.
    """
    points = projx(states)
    return dist(points[..., :-1, :], points[..., 1:, :])


def drift(states: Tensor) -> Tensor:
    """Angle between the encoder's input and the output of each block, in radians; the last is Proposition 1's.

    states: as in `block_angles`. Returns [..., L].
    """
    points = projx(states)
    return dist(points[..., :1, :], points[..., 1:, :])


def drift_bound(norm: float, block_bounds: Sequence[float]) -> float:
    """The most that L pre-norm blocks can turn a state of norm `norm`, in radians (Proposition 1, first bound).

    block_bounds: B_l, the largest norm of an update that block l can add. Where their sum reaches `norm` the
    proposition says nothing, and the answer is pi.
    """
    if norm <= sum(block_bounds):
        return math.pi
    remaining = norm
    bound = 0.0
    for b in block_bounds:
        bound += b / remaining
        remaining -= b
    return min(math.pi, math.pi / 2 * bound)
