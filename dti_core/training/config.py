"""How to train, and what each step reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. The defaults are the effective recipe of the reference's SDXL launcher
    (exps/ours_sdxl.py of kunheek/dti: a rate of 0.01, scaled by the batch of 4).

    initializer: word(s) that give v_0 and mu.
    magnitude: m*, "mean" | "min" | "max" | "initializer" | a positive number.
    n_vectors: 0 for as many as the initializer has tokens.
    steps: optimizer steps.
    batch_size: pictures per step.
    microbatch_size: pictures per network pass, 0 for the whole batch; lower saves memory, not time.
    learning_rate: tangent of the angle by which each step turns v.
    kappa: concentration of the von Mises-Fisher prior; 0 leaves it out.
    """

    initializer: str
    magnitude: str | float = "mean"
    n_vectors: int = 0
    steps: int = 400
    batch_size: int = 4
    microbatch_size: int = 0
    learning_rate: float = 0.04
    kappa: float = 1e-4
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("microbatch_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be {least} or more.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate is {self.learning_rate}; it has to be above 0 (the recipe uses 0.04).")
        if not (math.isfinite(self.kappa) and self.kappa >= 0):
            raise ValueError(f"kappa is {self.kappa}; it has to be 0 (no prior) or above (the recipe uses 1e-4).")


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    step: 1 for the first. loss: batch mean. vectors: `m* v` by encoder key, `[n_vectors, dim]` float32 on the CPU.
    By encoder key, means over the rows: angle_to_prior, degrees between v and mu; data_gradient_norm, the length
    of dL/dv, to be held against kappa. moved: False where a zero or non-finite gradient left a row in place.
    """

    step: int
    loss: float
    vectors: Mapping[str, Tensor]
    angle_to_prior: Mapping[str, float]
    data_gradient_norm: Mapping[str, float]
    moved: bool
