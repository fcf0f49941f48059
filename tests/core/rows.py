"""Rows to turn, and what turns them, for the tests of the optimizer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Parameter

from dti_core.riemannian_sgd import RiemannianSGD

DIM = 64


def unit_rows(n: int, dim: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=-1, keepdim=True)).to(dtype)


def gaussian(n: int, dim: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def angle(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.detach().double(), y.detach().double()
    return 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def run(v: Tensor, gradient: Callable[[int, Tensor], Tensor], steps: int, **group: object) -> Tensor:
    """The parameter after `steps` steps of gradient(step, v)."""
    parameter = Parameter(v.clone())
    optimizer = RiemannianSGD([{"params": [parameter], **group}], lr=0.04)
    for step in range(steps):
        parameter.grad = gradient(step, parameter.detach())
        optimizer.step()
    return parameter.detach()


def pull_to(target: Tensor) -> Callable[[int, Tensor], Tensor]:
    """Gradient of the loss -<v, target>, plus noise that is the same for every run."""
    return lambda step, v: gaussian(*target.shape, seed=step, dtype=v.dtype) * 0.05 - target.to(v.dtype)
