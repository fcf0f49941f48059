"""What the steps of a run have said so far, and how fast they are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...dti_core.training import StepReport, TrainingState
from ...dti_core.training.validation import Validation

# Of the running mean of the loss, per step: a mean over about twenty steps.
MEMORY = 0.95


class RunHistory:
    """Losses, angles and pace of a run.

    steps: of the whole run. batch_size: images per step. origin: from where angles are measured, in words.
    validations: what measures on held-out images, by name of the concept, which is "" for the only one.
    """

    def __init__(
        self, steps: int, batch_size: int, origin: str, validations: Mapping[str, Validation] | None = None
    ) -> None:
        self.steps = steps
        self.origin = origin
        self.validations = validations or {}
        self.numbers: list[int] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.angles: dict[str, list[float]] = {}
        self._batch_size = batch_size
        self._sum = self._weight = 0.0
        self._done = 0
        self._training = self._elapsed = 0.0

    def go_on_from(self, state: TrainingState) -> None:
        """Take note of the steps that were done before. Earlier versions have kept no angles."""
        for loss in state.losses:
            self._add_loss(loss)
        for key, angles in state.angles.items():
            self.angles[key] = [math.nan] * (len(self.numbers) - len(angles)) + list(angles)

    def add(self, report: StepReport, training: float, elapsed: float) -> None:
        """Take note of one step.

        training: seconds that the step took. elapsed: seconds since the one before, all else included.
        """
        self._add_loss(report.loss)
        for key, angle in report.angle_to_prior.items():
            self.angles.setdefault(key, [math.nan] * (len(self.numbers) - 1)).append(angle)
        self._done += 1
        self._training += training
        self._elapsed += elapsed

    @property
    def lines(self) -> str:
        """The last step, for the node."""
        left = self._elapsed / self._done * (self.steps - self.numbers[-1])
        angles = ", ".join(f"{key} {values[-1]:.0f}" for key, values in self.angles.items())
        lines = (
            f"step {self.numbers[-1]} of {self.steps}   mean loss {self.smoothed[-1]:.4f}   "
            f"{self._training / (self._done * self._batch_size):.2g} s/image   {_duration(left)} left\n"
            f"degrees from {self.origin}: {angles}"
        )
        return "\n".join([lines, *(_line(name, one) for name, one in self.validations.items() if one.steps)])

    def _add_loss(self, loss: float) -> None:
        self.numbers.append(len(self.numbers) + 1)
        self.losses.append(loss)
        if math.isfinite(loss):  # the mean starts from nothing, and is corrected as Adam's
            self._sum = MEMORY * self._sum + (1 - MEMORY) * loss
            self._weight = MEMORY * self._weight + (1 - MEMORY)
        self.smoothed.append(self._sum / self._weight if self._weight else math.nan)


def _line(name: str, measured: Validation) -> str:
    line = f"{name} validation loss {measured.losses[-1]:.4f} at step {measured.steps[-1]}".strip()
    best = measured.best
    return line if best is None else f"{line}, lowest {best.loss:.4f} at step {best.step}"


def _duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
