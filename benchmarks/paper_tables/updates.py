"""How vectors move: AdamW in space or pulled back onto a sphere, and DTI's own optimizer with options."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from dti_pack.dti_core import sphere
from dti_pack.dti_core.riemannian_sgd import RiemannianSGD
from dti_pack.dti_core.training.initializer import Start
from torch import Tensor

from .loop import Vectors
from .settings import Settings

# Of the running mean of the data gradient's norm, per step.
NORM_MEMORY = 0.9


class AdamWUpdate:
    """The vectors themselves are the parameters, as in Textual Inversion (AdamW with the reference's constants).

    start: rows `[n_vectors, dim]` by encoder key.
    radius: where given, `[n_vectors, 1]` by encoder key: rows are brought back to this length after every step.
    anchor_weight: of the mean square distance from the start, per encoder, in the loss (CrossInit's regulariser).
    """

    def __init__(
        self,
        start: Mapping[str, Tensor],
        learning_rate: float,
        radius: Mapping[str, Tensor] | None = None,
        anchor_weight: float = 0.0,
    ) -> None:
        self.prior = {key: sphere.projx(rows) for key, rows in start.items()}
        self._anchor = {key: rows.detach().clone() for key, rows in start.items()}
        self._rows = {key: torch.nn.Parameter(rows.detach().clone()) for key, rows in start.items()}
        self._radius, self._anchor_weight = radius, anchor_weight
        self._optimizer = torch.optim.AdamW(
            self._rows.values(), lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2
        )

    def vectors(self) -> Vectors:
        return dict(self._rows)

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    @torch.no_grad()
    def step(self, number: int) -> dict[str, float]:
        norms = {key: _gradient_norm(rows) for key, rows in self._rows.items()}
        for key, rows in self._rows.items():
            if self._anchor_weight and rows.grad is not None:
                rows.grad += 2 * self._anchor_weight * (rows - self._anchor[key]) / rows.numel()
        self._optimizer.step()
        if self._radius is not None:
            for key, rows in self._rows.items():
                rows.copy_(self._radius[key] * sphere.projx(rows))
        return norms

    def found(self) -> Vectors:
        return _copies(self._rows)


class SphereUpdate:
    """DTI: unit directions moved by RiemannianSGD, lengths fixed; with the options of Settings."""

    def __init__(self, start: Mapping[str, Start], settings: Settings) -> None:
        self.prior = {key: s.direction for key, s in start.items()}
        self._settings = settings
        self._magnitude = {key: s.magnitude * settings.magnitude_factor for key, s in start.items()}
        self._directions = {key: torch.nn.Parameter(s.direction.clone()) for key, s in start.items()}
        self._optimizer = RiemannianSGD(
            [{"params": [v], "mu": self.prior[key]} for key, v in self._directions.items()],
            lr=settings.learning_rate,
            kappa=settings.kappa,
        )
        self._running: dict[str, float] = {}
        self._sum = {key: torch.zeros_like(v) for key, v in self.prior.items()}

    def vectors(self) -> Vectors:
        return {key: self._magnitude[key] * v for key, v in self._directions.items()}

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    @torch.no_grad()
    def step(self, number: int) -> dict[str, float]:
        settings = self._settings
        norms = {key: _gradient_norm(v) for key, v in self._directions.items()}
        for (key, norm), group in zip(norms.items(), self._optimizer.param_groups, strict=True):
            group["lr"] = settings.learning_rate * share_left(settings.decay, number, settings.steps)
            if settings.kappa_share:
                running = self._running.get(key, norm)
                self._running[key] = NORM_MEMORY * running + (1 - NORM_MEMORY) * norm
                group["kappa"] = settings.kappa_share * self._running[key]
        self._optimizer.step()
        if number > settings.steps - settings.average:
            for key, v in self._directions.items():
                self._sum[key] += v
        return norms

    def found(self) -> Vectors:
        averaged = {
            key: sphere.projx(total) if bool(total.any()) else self._directions[key].detach()
            for key, total in self._sum.items()
        }
        return _copies({key: self._magnitude[key] * v for key, v in averaged.items()})


def share_left(decay: str, number: int, steps: int) -> float:
    """Factor on the step angle at step `number` (1 for the first) of `steps`."""
    done = (number - 1) / steps
    if decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if decay == "linear" else 1.0


def _gradient_norm(rows: Tensor) -> float:
    return 0.0 if rows.grad is None else float(rows.grad.norm(dim=-1).mean())


def _copies(rows: Mapping[str, Tensor]) -> Vectors:
    return {key: value.detach().cpu().clone() for key, value in rows.items()}
