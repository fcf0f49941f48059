"""Riemannian SGD on unit rows with a von Mises-Fisher prior: Directional Textual Inversion's optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from .sphere import check_point_on_sphere, egrad2rgrad, retr


class RiemannianSGD(Optimizer):
    r"""Algorithm 1 of Directional Textual Inversion, lines 7 to 10, for each row `v` on its own:

    .. math::
        g_{euc} = g_{data} - \kappa \mu, \quad
        g = g_{euc} - (g_{euc}^T v) v, \quad
        g' = g / |g|, \quad
        v \leftarrow (v - \eta g') / |v - \eta g'|

    The first term adds the prior of eq. 5, whose gradient is the constant :math:`-\kappa\mu`; tangent
    projection and retraction are eq. 2. There is no momentum.

    The learning rate is an angle: whatever the size of the gradient, a step turns `v` by exactly ``atan(lr)``
    (2.29 degrees at 0.04). Only the ratio ``kappa / |g_data|`` decides how strong the prior is, so gradients
    must be those of the mean loss with respect to the unit vector, with any loss scale undone.

    Parameters are [n, dim] with unit rows, float32 (or float64). A group may bring its own ``lr``, ``kappa``
    and ``mu``, the [n, dim] prior directions of its parameter; ``mu`` may be None where kappa is 0.

    A row whose data gradient is zero or not finite, or whose gradient has no tangent part, stays where it is. After
    each step ``state[v]`` reports, as tensors on v's device, per row [n]: ``data_gradient_norm`` (|g_data|),
    ``riemannian_gradient_norm`` (|g|) and ``moved`` (bool); and ``step``, the number of steps taken.

    Raises ValueError for a parameter, mu, kappa or lr outside of the above, and RuntimeError for sparse
    gradients.
    """

    def __init__(self, params: ParamsT, lr: float, *, kappa: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "kappa": kappa, "mu": None})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        try:
            _check_group(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise
        _place_mu(self.param_groups[-1])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # torch casts all state to the parameter's dtype, and leaves mu on the device it was saved from.
        for group in self.param_groups:
            _place_mu(group)
        for state in self.state.values():
            state["moved"] = state["moved"].bool()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; returns the closure's loss where one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for v in group["params"]:
                if v.grad is not None:
                    self._step_rows(v, group)
        return loss

    def _step_rows(self, v: Tensor, group: dict[str, Any]) -> None:
        if v.grad.is_sparse:  # type: ignore[union-attr]
            raise RuntimeError(
                "RiemannianSGD got a sparse gradient and needs a dense one: optimize only the concept's own "
                "rows, or build the embedding layer with sparse=False."
            )
        g_data: Tensor = v.grad  # type: ignore[assignment]
        g_euc = g_data if group["mu"] is None else g_data - group["kappa"] * group["mu"]
        # Twice, because where g is nearly parallel to v the first pass leaves rounding errors along v.
        g = egrad2rgrad(v, egrad2rgrad(v, g_euc))

        data_norm = g_data.norm(dim=-1, keepdim=True)
        norm = g.norm(dim=-1, keepdim=True)
        # What is left of a gradient along v is rounding noise; at full size it would be a random step.
        # Where the gradient is not finite, neither is its norm, and the comparison is False.
        noise = 8 * torch.finfo(v.dtype).eps * g_euc.norm(dim=-1, keepdim=True)
        moved = (norm > noise) & (data_norm > 0)
        v.copy_(torch.where(moved, retr(v, -group["lr"] * (g / norm)), v))

        state = self.state[v]
        state["step"] = state.get("step", torch.zeros(())) + 1
        state["data_gradient_norm"] = data_norm.squeeze(-1)
        state["riemannian_gradient_norm"] = norm.squeeze(-1)
        state["moved"] = moved.squeeze(-1)


def _check_group(group: dict[str, Any]) -> None:
    lr, kappa, mu = group["lr"], group["kappa"], group["mu"]
    if not 0 <= lr < math.inf:
        raise ValueError(f"lr is {lr}; give a finite number of at least 0 (a step turns a row by atan(lr)).")
    if not 0 <= kappa < math.inf:
        raise ValueError(f"kappa is {kappa}; give a finite number of at least 0 (0 switches the prior off).")
    if kappa > 0 and mu is None:
        raise ValueError(
            f"kappa is {kappa} but the group has no mu; give prior directions or set kappa to 0."
        )
    for v in group["params"]:
        _check_rows("the parameter", v)
        if mu is not None and mu.shape != v.shape:
            raise ValueError(
                f"mu has shape {tuple(mu.shape)} and the parameter {tuple(v.shape)}; "
                "give one prior direction per row."
            )
    if mu is not None:
        _check_rows("mu", mu)


def _check_rows(what: str, rows: Tensor) -> None:
    if rows.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"{what} is {rows.dtype}, too coarse for steps of a degree; "
            "keep it in float32 and cast it where it is used."
        )
    if rows.ndim != 2:
        raise ValueError(f"{what} has shape {tuple(rows.shape)}; give [n, dim], one unit vector per row.")
    on_sphere, reason = check_point_on_sphere(rows.detach())
    if not on_sphere:
        raise ValueError(f"{what} is not on the unit sphere: {reason}. Pass it through sphere.projx first.")


def _place_mu(group: dict[str, Any]) -> None:
    if group["mu"] is not None:
        group["mu"] = group["mu"].detach().to(group["params"][0])
