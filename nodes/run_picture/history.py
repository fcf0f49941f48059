"""What the steps of a run have said so far, and how fast they are."""

from __future__ import annotations

import math

from ...dti_core.training import StepReport

# Of the running mean of the loss, per step: a mean over about twenty steps.
MEMORY = 0.95


class RunHistory:
    """Losses, angles and pace of a run.

    steps: of the whole run. batch_size: images per step. origin: from where angles are measured, in words.
    """

    def __init__(self, steps: int, batch_size: int, origin: str) -> None:
        self.steps = steps
        self.origin = origin
        self.numbers: list[int] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.angles: dict[str, list[float]] = {}
        self._batch_size = batch_size
        self._sum = self._weight = 0.0
        self._training = self._elapsed = 0.0

    def add(self, report: StepReport, training: float, elapsed: float) -> None:
        """Take note of one step.

        training: seconds that the step took. elapsed: seconds since the one before, all else included.
        """
        self.numbers.append(report.step)
        self.losses.append(report.loss)
        if math.isfinite(report.loss):  # the mean starts from nothing, and is corrected as Adam's
            self._sum = MEMORY * self._sum + (1 - MEMORY) * report.loss
            self._weight = MEMORY * self._weight + (1 - MEMORY)
        self.smoothed.append(self._sum / self._weight if self._weight else math.nan)
        for key, angle in report.angle_to_prior.items():
            self.angles.setdefault(key, []).append(angle)
        self._training += training
        self._elapsed += elapsed

    @property
    def lines(self) -> str:
        """The last step, for the node."""
        done = len(self.numbers)
        left = self._elapsed / done * (self.steps - self.numbers[-1])
        angles = ", ".join(f"{key} {values[-1]:.0f}" for key, values in self.angles.items())
        return (
            f"step {self.numbers[-1]} of {self.steps}   mean loss {self.smoothed[-1]:.4f}   "
            f"{self._training / (done * self._batch_size):.2g} s/image   {_duration(left)} left\n"
            f"degrees from {self.origin}: {angles}"
        )


def _duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
