"""How to train, and what each step reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ..methods import METHODS, Options
from .state import TrainingState


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. The defaults are the effective recipe of the reference's SDXL launcher
    (exps/ours_sdxl.py of kunheek/dti: a rate of 0.01, scaled by the batch of 4).

    initializer: word(s) that give v_0 and mu.
    magnitude: m*, "mean" | "min" | "max" | "initializer" | a positive number.
    n_vectors: 0 for as many as the initializer has tokens.
    steps: optimizer steps.
    batch_size: images per step.
    microbatch_size: images per network pass, 0 for the whole batch; lower saves memory, not time.
    learning_rate: None for the method's own (`METHODS[method].learning_rate`). DTI's is the tangent of the angle by
        which each step turns v, 0.04. AdamW's is in coordinates of a word (`methods.relative_rate`), 1.43: 0.02 for
        CLIP-L.
    kappa: concentration of the von Mises-Fisher prior; 0 leaves it out.
    method: one of METHODS.
    options: changes of the recipe.
    """

    initializer: str
    magnitude: str | float = "mean"
    n_vectors: int = 0
    steps: int = 400
    batch_size: int = 4
    microbatch_size: int = 0
    learning_rate: float | None = None
    kappa: float = 1e-4
    seed: int = 42
    method: str = "DTI"
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("microbatch_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be {least} or more.")
        if not (math.isfinite(self.kappa) and self.kappa >= 0):
            raise ValueError(f"kappa is {self.kappa}; it has to be 0 (no prior) or above (the recipe uses 1e-4).")
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; choose one of {', '.join(METHODS)}.")
        if not (math.isfinite(self.rate) and self.rate > 0):
            recipe = f"{self.method}'s recipe uses {METHODS[self.method].learning_rate:g}"
            raise ValueError(f"learning_rate is {self.learning_rate}; it has to be above 0 ({recipe}).")
        if self.options.average > self.steps:
            raise ValueError(f"average is {self.options.average}; give 0 to {self.steps}, the number of steps.")
        idle = [name for name in self.options.in_use() if name in METHODS[self.method].ignores]
        if idle:
            raise ValueError(f"{self.method} has no use for {', '.join(idle)}; leave it out, or choose DTI.")

    @property
    def rate(self) -> float:
        """The learning rate, in the method's own terms."""
        return METHODS[self.method].learning_rate if self.learning_rate is None else self.learning_rate

    def in_use(self) -> dict[str, Any]:
        """What the method reads, options where they are not neutral: what a file says of a run."""
        named = asdict(self) | {"learning_rate": self.rate}
        named.pop("options")
        unread = METHODS[self.method].ignores
        return {name: value for name, value in {**named, **self.options.in_use()}.items() if name not in unread}


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    step: 1 for the first. loss: batch mean. vectors: what would be kept if this was the last step, by encoder key,
    `[n_vectors, dim]` float32 on the CPU. angle_to_prior, data_gradient_norm, moved: as `Movement` of the method;
    for DTI the degrees between v and mu, and the norm of dL/dv, to be held against kappa.
    state: to resume from, after this step or the last one whose loss and gradient were finite.
    """

    step: int
    loss: float
    vectors: Mapping[str, Tensor]
    angle_to_prior: Mapping[str, float]
    data_gradient_norm: Mapping[str, float]
    moved: bool
    state: TrainingState
