"""What the training loop is given, and all that differs between one method and another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Movement:
    """What one step did, by encoder key, means over the rows.

    angle: degrees between the vectors and the prior direction, or the start where there is no prior.
    gradient_norm: of the mean loss with respect to the method's parameters, before a prior or regulariser.
    moved: False where a zero or non-finite gradient left a row in place.
    """

    angle: Mapping[str, float]
    gradient_norm: Mapping[str, float]
    moved: bool


class Method(Protocol):
    """The parameters, the vectors that they stand for, and the rule by which a gradient moves them.

    The loop calls `zero_grad`, `vectors`, sends the loss's gradient back through those vectors, and calls `step`.
    A step that ran out of memory begins again at `zero_grad`.

    learning_rate: of the reference's SDXL launcher, in the method's own terms, which mean the same at every width.
    ignores: fields of TrainingConfig that mean nothing to the method.
    """

    learning_rate: ClassVar[float]
    ignores: ClassVar[frozenset[str]]

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def vectors(self) -> dict[str, Tensor]:
        """What the text encoder reads, `[n_vectors, dim]` by encoder key, differentiable in the parameters."""

    def step(self, share: float) -> Movement:
        """Move the parameters at `share` of the learning rate, which a schedule lowers from 1."""

    def skip(self) -> None:
        """Take note of a step of the run that is none of the method's, as no caption named its concept."""

    def result(self) -> dict[str, Tensor]:
        """What is kept if this was the last step: copies `[n_vectors, dim]` float32 on the CPU."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step, to go on from it later; tensors, numbers and containers of them."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` of a method of the same kind and shape gave."""
