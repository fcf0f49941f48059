"""What is seen of a run on the node: its numbers, and a picture of its curves and previews."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ....dti_core.training import StepReport
from ...run_picture.drawing import draw_run
from ...run_picture.history import RunHistory
from ...run_picture.time_share import TimeShare
from .previews import Previews

if TYPE_CHECKING:
    from comfy.sd import VAE

# Of the time until the last step. The first preview comes in any case, and the following ones make up for it.
SHARE = 0.1
# Between two pictures without a new preview.
SECONDS = 5.0
# While it trains there is the start and the last one; afterwards the way between.
COLUMNS, ALL_COLUMNS = 2, 6


class RunWatch:
    """Makes previews and draws, and no more of it than SHARE of the time allows.

    history: of the run, empty yet. clock: gives seconds.
    """

    def __init__(self, history: RunHistory, previews: Previews, clock: Callable[[], float] = time.perf_counter) -> None:
        self._history, self._previews, self._clock = history, previews, clock
        self._share = TimeShare(SHARE, clock)
        self._preview_seconds = self._picture_seconds = 0.0
        self._ended = self._noted = self._drawn = clock()

    @property
    def lines(self) -> str:
        """The last step in words, and why there are no more previews."""
        return "\n".join(filter(None, (self._history.lines, self._previews.note)))

    @property
    def note(self) -> str:
        """Why there are no more previews; "" where there are."""
        return self._previews.note

    def begin(self, vectors: Mapping[str, Tensor], step: int = 0) -> Image.Image:
        """The picture before the first step; `vectors` are those that it starts from, by encoder key.

        step: how many were done before, where a run goes on.
        """
        self._preview(f"step {step}" if step else "start", step, vectors)
        picture = self._draw()
        self._ended = self._noted = self._clock()
        return picture

    def step(self, report: StepReport) -> Image.Image | None:
        """Take note of a step; a new picture where it is time for one."""
        now = self._clock()
        self._history.add(report, now - self._ended, now - self._noted)
        self._noted = now
        is_last = report.step >= self._history.steps
        expected = self._preview_seconds + self._picture_seconds
        is_new = not is_last and self._previews.is_due(report.step) and self._share.has_room_for(expected)
        if is_new:
            self._preview(f"step {report.step}", report.step, report.vectors)
        is_old = now - self._drawn >= SECONDS and self._share.has_room_for(self._picture_seconds)
        picture = self._draw() if is_new or (is_old and not is_last) else None
        self._ended = self._clock()
        return picture

    def finish(self, vectors: Mapping[str, Tensor]) -> Image.Image:
        """The picture with the result at full steps; call it while the session is open."""
        self._previews.finish(vectors)
        return self._draw()

    def picture(self, vae: VAE) -> Tensor:
        """The picture of the whole run `[1, H, W, 3]` in [0, 1], its result decoded by the VAE."""
        self._previews.decode_result(vae)
        drawn = draw_run(self._history, self._previews.columns, self._previews.prompts, ALL_COLUMNS)
        return torch.from_numpy(np.asarray(drawn).astype(np.float32) / 255)[None]

    def _preview(self, label: str, step: int, vectors: Mapping[str, Tensor]) -> None:
        with self._share.taken():
            self._previews.add(label, step, vectors)
        self._preview_seconds = self._share.last

    def _draw(self) -> Image.Image:
        with self._share.taken():
            drawn = draw_run(self._history, self._previews.columns, self._previews.prompts, COLUMNS)
        self._picture_seconds = self._share.last
        self._drawn = self._clock()
        return drawn
