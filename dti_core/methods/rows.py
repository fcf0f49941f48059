"""What methods ask of the rows `[n_vectors, dim]` that they keep by encoder key."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .. import sphere


def angles(directions: Mapping[str, Tensor], origins: Mapping[str, Tensor]) -> dict[str, float]:
    """Degrees between unit rows, mean over the rows."""
    return {
        key: math.degrees(float(sphere.dist(rows.detach(), origins[key]).mean())) for key, rows in directions.items()
    }


def gradient_norms(parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """Norms of the rows' gradients, mean over the rows."""
    return {key: 0.0 if p.grad is None else float(p.grad.norm(dim=-1).mean()) for key, p in parameters.items()}


def copies(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows as they are now, on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in rows.items()}


@torch.no_grad()
def put_back(rows: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Give `rows` the values of `saved`. Raises ValueError where keys or shapes differ."""
    shapes, given = ({key: tuple(value.shape) for key, value in side.items()} for side in (rows, saved))
    if shapes != given:
        raise ValueError(f"the state is for {given}, and this run has {shapes}; resume with the settings it came from.")
    for key, value in rows.items():
        value.copy_(saved[key])
