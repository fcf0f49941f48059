"""Several concepts in one run, each with a method of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .method import Method, Movement


class Together:
    """Methods side by side: to the text encoder their vectors are one under the other, in the order given.

    A concept that no caption of a batch names gets a gradient of nothing but zeros. Then nothing of it moves: no prior,
    no momentum, no decay, no clock of an optimizer. Its vectors are those of a run that never saw the batch.

    names: of the concepts. methods: at their start.
    """

    learning_rate: ClassVar[float] = 0.0
    ignores: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, names: Sequence[str], methods: Sequence[Method]) -> None:
        self._methods = dict(zip(names, methods, strict=True))
        self.rows = _rows({name: method.result() for name, method in self._methods.items()})
        self._stacked: dict[str, Tensor] = {}
        self._angles: dict[str, dict[str, float]] = {}

    def zero_grad(self) -> None:
        for method in self._methods.values():
            method.zero_grad()

    def vectors(self) -> dict[str, Tensor]:
        self._stacked = _stacked([method.vectors() for method in self._methods.values()])
        for rows in self._stacked.values():
            rows.retain_grad()
        return dict(self._stacked)

    def step(self, share: float) -> Movement:
        norms: dict[str, float] = {}
        moved = True
        for name, method in self._methods.items():
            if not self._is_named(name):
                method.skip()
                norms |= {f"{name} {key}": 0.0 for key in self._stacked}
                continue
            movement = method.step(share)
            self._angles[name] = dict(movement.angle)
            norms |= {f"{name} {key}": norm for key, norm in movement.gradient_norm.items()}
            moved = moved and movement.moved
        angles = {f"{name} {key}": angle for name, own in self._angles.items() for key, angle in own.items()}
        return Movement(angles, norms, moved)

    def skip(self) -> None:
        for method in self._methods.values():
            method.skip()

    def result(self) -> dict[str, Tensor]:
        return _stacked([method.result() for method in self._methods.values()])

    def split(self, vectors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Those of each concept, of vectors as `result` gives them."""
        return {
            name: {key: value[rows.start : rows.stop] for key, value in vectors.items()}
            for name, rows in self.rows.items()
        }

    def state_dict(self) -> dict[str, Any]:
        own = {name: method.state_dict() for name, method in self._methods.items()}
        return {"concepts": own, "angles": {name: dict(angles) for name, angles in self._angles.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if list(state["concepts"]) != list(self._methods):
            raise ValueError(
                f"the state is of the concepts {', '.join(state['concepts'])}, and this run has "
                f"{', '.join(self._methods)}; resume with the settings it came from."
            )
        for name, own in state["concepts"].items():
            self._methods[name].load_state_dict(own)
        self._angles = {name: dict(angles) for name, angles in state["angles"].items()}

    def _is_named(self, name: str) -> bool:
        """Whether a caption of the batch names the concept; a gradient that is not finite counts as one."""
        rows = self.rows[name]
        gradients = [
            stacked.grad[rows.start : rows.stop] for stacked in self._stacked.values() if stacked.grad is not None
        ]
        return any(bool((gradient != 0).any()) for gradient in gradients)


def _stacked(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _rows(vectors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, range]:
    """By name, which of the rows are a concept's."""
    found: dict[str, range] = {}
    start = 0
    for name, own in vectors.items():
        count = len(next(iter(own.values())))
        found[name] = range(start, start + count)
        start += count
    return found
