"""What a run tells the person who waits for it, and what it leaves on disk on the way."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import comfy.model_management
import comfy.utils
import torch
from PIL import Image
from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.training import StepReport
from ..node_text import notify, show_on_node
from .concept_files import ConceptFiles
from .memory import TrainingMemory
from .run_watch import RunWatch

log = logging.getLogger(__name__)


class RunReport:
    """Receives each step: progress bar, text and picture on the node, losses, checkpoint files, and the Stop button.

    files: of each concept of the run.
    node_id: where the text is shown.
    save_every: steps between checkpoint files `<name>-step<N>`, 0 for none.
    memory: the plan in force, to be shown. watch: what is shown of the steps.
    hint: what to do after Stop, asked for then. heading: stands above what is shown.

    A checkpoint that cannot be saved ends nothing: it is said on the node, and the run goes on.
    """

    def __init__(
        self,
        files: Sequence[ConceptFiles],
        node_id: str,
        steps: int,
        save_every: int,
        memory: TrainingMemory,
        watch: RunWatch,
        hint: Callable[[], str] = lambda: "",
        heading: str = "",
    ) -> None:
        self.losses: list[float] = []
        self._files = files
        self._node_id = node_id
        self._steps = steps
        self._save_every = save_every
        self._memory = memory
        self._watch = watch
        self._progress = comfy.utils.ProgressBar(steps)
        self._last: StepReport | None = None
        self._begun_at = 0
        self._hint = hint
        self._heading = heading

    def begin(self, vectors: Mapping[str, Tensor], step: int = 0) -> None:
        """Show what the run starts from, by encoder key; step: how many were done before."""
        self._begun_at = step
        self._show(step, self._watch.begin(vectors, step))

    def __call__(self, report: StepReport) -> None:
        """Take note of one step. Raises the host's interrupt where Stop was pressed."""
        self._last = report
        self.losses.append(report.loss)
        if not report.moved:
            log.warning("DTI step %d: a gradient was zero or not finite; the vector stayed in place.", report.step)
        if self._save_every and report.step % self._save_every == 0 and report.step < self._steps:
            for one in self._files:
                one.save_step(report.step, report.vectors)
        picture = self._watch.step(report)
        lines = (f"{self._heading}{self._watch.lines}", str(self._memory), *(one.problem for one in self._files))
        show_on_node("\n".join(filter(None, lines)), self._node_id)
        if report.step < self._steps:  # the last one is shown with the result
            self._show(report.step, picture)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def finish(self, vectors: Mapping[str, Tensor]) -> list[ConceptEmbedding]:
        """Show the result of each concept, while the session is open, and hand it on; `vectors` are the last step's."""
        chosen = [one.choose(vectors, len(self.losses), self._steps) for one in self._files]
        self._show(self._steps, self._watch.finish({key: torch.cat([own[key] for own in chosen]) for key in vectors}))
        return [one.result(own) for one, own in zip(self._files, chosen, strict=True)]

    def notes(self) -> list[str]:
        """What is to be said when all is over: steps that came to nothing, and which steps were chosen."""
        return [*self.left_out(), *(note for one in self._files for note in one.notes())]

    def left_out(self) -> list[str]:
        """A line on steps that came to nothing, where there were any."""
        count = sum(not math.isfinite(loss) for loss in self.losses)
        return [f"{count} of {len(self.losses)} steps were left out: their loss was not a finite number"] * (count > 0)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the last step where a run ends early, and say where. What ended it goes on, saved or not."""
        try:
            yield
        except BaseException:
            said = "\n".join(filter(None, (*self._keep(), self._hint())))
            if said:
                show_on_node(f"{self._heading}{said}", self._node_id)
                notify(f"{self._heading}{said}")
            raise

    def _keep(self) -> list[str]:
        """Keep what has been trained so far; where, or why not."""
        if self._last is None:
            return []
        return [line for one in self._files for line in one.keep_at_stop(self._last, self._begun_at)]

    def _show(self, step: int, picture: Image.Image | None) -> None:
        preview = None if picture is None else ("JPEG", picture, None)  # format, image, and no largest edge
        self._progress.update_absolute(step, self._steps, preview)
