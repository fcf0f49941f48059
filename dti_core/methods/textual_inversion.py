"""Textual Inversion (Gal et al., ICLR 2023, arXiv 2208.01618): the vectors themselves are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import sphere
from .method import Movement
from .relative_rate import REFERENCE_RATE, adamw_group
from .rows import angles, copies, gradient_norms, put_back


class TextualInversion:
    """The initializer's own rows, moved by AdamW (Loshchilov and Hutter 2019) wherever the gradient leads.

    Nothing keeps their norm: AdamW moves each coordinate by about the learning rate, wherever the row is by then.
    A step with a gradient that is not finite is left out, since AdamW would never forget it.

    start: rows `[n_vectors, dim]` by encoder key.
    learning_rate: in coordinates of a word (`relative_rate`).
    coordinates: how large those are, by encoder key.
    """

    learning_rate: ClassVar[float] = REFERENCE_RATE
    ignores: ClassVar[frozenset[str]] = frozenset({"magnitude", "magnitude_factor", "kappa", "kappa_share", "average"})

    def __init__(self, start: Mapping[str, Tensor], learning_rate: float, coordinates: Mapping[str, float]) -> None:
        self._origin = {key: sphere.projx(rows) for key, rows in start.items()}
        self._rows = {key: torch.nn.Parameter(rows.clone()) for key, rows in start.items()}
        groups = [adamw_group(rows, learning_rate, coordinates[key]) for key, rows in self._rows.items()]
        # The reference's constants.
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def vectors(self) -> dict[str, Tensor]:
        return dict(self._rows)

    @torch.no_grad()
    def step(self, share: float) -> Movement:
        norms = gradient_norms(self._rows)
        finite = all(bool(rows.grad.isfinite().all()) for rows in self._rows.values() if rows.grad is not None)
        if finite:
            self._before_step()
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * share
            self._optimizer.step()
            self._after_step()
        directions = {key: sphere.projx(rows) for key, rows in self._rows.items()}
        return Movement(angles(directions, self._origin), norms, finite)

    def skip(self) -> None:
        pass

    def result(self) -> dict[str, Tensor]:
        return copies(self._rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": copies(self._rows), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        put_back(self._rows, state["rows"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _before_step(self) -> None:
        """What else adds to the gradients."""

    def _after_step(self) -> None:
        """What else happens to the rows."""
