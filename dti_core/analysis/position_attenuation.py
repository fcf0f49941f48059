"""Effect I: a long vector forgets where it stands in the prompt (paper 2.2, Lemma 1).

A token enters the encoder as m v + p, and the first block reads LN(m v + p). As m grows, p is lost in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import layer_norm


@dataclass(frozen=True, eq=False)
class FirstNorm:
    """What a token meets first: `positions` [n, dim] are added, then LayerNorm with `weight`, `bias` [dim], `eps`."""

    positions: Tensor
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, token: Tensor) -> Tensor:
        """What the first block reads for `token` [dim] at every position, [n, dim]."""
        return layer_norm(token + self.positions, token.shape, self.weight, self.bias, self.eps)


def position_share(first: FirstNorm, direction: Tensor, magnitudes: Tensor) -> Tensor:
    """How much of what the first block reads depends on the token's position, for each of `magnitudes` [k].

    With y_i = LN(m v + p_i) over all positions i, the share is RMS_i |y_i - mean(y)| / RMS_i |y_i|: the
    spread of one token's readings around their mean, relative to their norm. It lies in [0, 1]; 0 means that
    all positions look the same, and Lemma 1 makes it fall as 1/m.

    direction: v, a unit vector [dim]. Returns [k].
    """
    return torch.stack([_spread(first(m * direction)) for m in magnitudes])


def _spread(readings: Tensor) -> Tensor:
    around = readings - readings.mean(dim=0)
    share: Tensor = around.norm() / readings.norm()
    return share
