"""Directional Textual Inversion (arXiv 2512.13672, Algorithm 1): only the direction is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import sphere
from ..riemannian_sgd import RiemannianSGD
from .method import Movement
from .rows import angles, copies, gradient_norms, put_back

# Of the running mean of the data gradient's norm, per step.
NORM_MEMORY = 0.9


class DTI:
    """Unit directions v on the sphere, moved by Riemannian SGD under a von Mises-Fisher prior; the norm m* is fixed.

    directions: mu, unit rows `[n_vectors, dim]` by encoder key (line 3), and v_0 too (line 2) without `start`.
    magnitudes: m*, `[n_vectors, 1]` by encoder key (eq. 1).
    learning_rate: eta, the tangent of the angle of a step, which is the same turn at every width.
    kappa: concentration of the prior (eq. 5), 0 for none.

    Beside the paper:
    kappa_share: kappa as a share of the running mean of the data gradient's norm; replaces kappa where above 0.
    average_after: the result is the mean direction of all steps after this one, of which those that were skipped have
        none; None takes the last step.
    start: v_0 where it is not mu.
    """

    learning_rate: ClassVar[float] = 0.04
    ignores: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        directions: Mapping[str, Tensor],
        magnitudes: Mapping[str, Tensor],
        learning_rate: float,
        kappa: float,
        kappa_share: float = 0.0,
        average_after: int | None = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._mu, self._magnitudes = directions, magnitudes
        self._v = {key: torch.nn.Parameter(rows.clone()) for key, rows in (start or directions).items()}
        self._rate, self._kappa_share, self._average_after = learning_rate, kappa_share, average_after
        self._optimizer = RiemannianSGD(
            [{"params": [v], "mu": self._mu[key]} for key, v in self._v.items()], lr=learning_rate, kappa=kappa
        )
        self._steps = 0
        self._gradient_norms: dict[str, float] = {}
        self._sum = {key: torch.zeros_like(v) for key, v in directions.items()}

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def vectors(self) -> dict[str, Tensor]:
        return self._scaled(self._v)

    @torch.no_grad()
    def step(self, share: float) -> Movement:
        norms = gradient_norms(self._v)
        for (key, norm), group in zip(norms.items(), self._optimizer.param_groups, strict=True):
            group["lr"] = self._rate * share
            if self._kappa_share and math.isfinite(norm):
                running = self._gradient_norms.get(key, norm)
                self._gradient_norms[key] = NORM_MEMORY * running + (1 - NORM_MEMORY) * norm
                group["kappa"] = self._kappa_share * self._gradient_norms[key]
        self._optimizer.step()  # lines 7 to 10
        self._steps += 1
        if self._average_after is not None and self._steps > self._average_after:
            for key, v in self._v.items():
                self._sum[key] += v
        moved = all(bool(self._optimizer.state[v]["moved"].all()) for v in self._v.values())
        return Movement(angles(self._found(), self._mu), norms, moved)

    def skip(self) -> None:
        self._steps += 1  # the average is of the run's last steps; the optimizer counts its own

    def result(self) -> dict[str, Tensor]:
        return copies(self._scaled(self._found()))

    def state_dict(self) -> dict[str, Any]:
        return {
            "v": copies(self._v),
            "optimizer": self._optimizer.state_dict(),
            "steps": self._steps,
            "gradient_norms": dict(self._gradient_norms),
            "sum": copies(self._sum),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        put_back(self._v, state["v"])
        put_back(self._sum, state["sum"])
        kappas = [group["kappa"] for group in self._optimizer.param_groups]
        self._optimizer.load_state_dict(state["optimizer"])
        for group, mu, kappa in zip(self._optimizer.param_groups, self._mu.values(), kappas, strict=True):
            # This run's own, where it is to go on with another prior.
            group["mu"] = mu
            if not self._kappa_share:
                group["kappa"] = kappa
        self._steps = state["steps"]
        self._gradient_norms = dict(state["gradient_norms"])
        if self._average_after is None or self._steps <= self._average_after:
            # Of a run that was to end sooner.
            for total in self._sum.values():
                total.zero_()

    def _found(self) -> dict[str, Tensor]:
        """Unit rows: the last ones, or the mean of those since `average_after`."""
        return {key: sphere.projx(total) if bool(total.any()) else self._v[key] for key, total in self._sum.items()}

    def _scaled(self, directions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """E = m* v (line 6)."""
        return {key: self._magnitudes[key] * v for key, v in directions.items()}
