"""What a run tells the person who waits for it, and what it leaves on disk on the way."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import comfy.model_management
import comfy.utils
from PIL import Image
from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.training import StepReport
from ....dti_core.training.validation import Validation
from ...held_out_notes import chosen_notes
from ...prompt_name import MAX_LENGTH
from ..embeddings.finished import sealed
from ..embeddings.saving import keep
from ..node_text import notify, show_on_node
from .memory import TrainingMemory
from .run_watch import RunWatch

log = logging.getLogger(__name__)


class RunReport:
    """Receives each step: progress bar, text and picture on the node, losses, checkpoint files, and the Stop button.

    name, metadata: of the embedding that is being trained.
    node_id: where the text is shown.
    save_every: steps between checkpoint files `<name>-step<N>`, 0 for none.
    overwrite: whether checkpoints of an earlier run may be replaced; else they are numbered.
    memory: the plan in force, to be shown. watch: what is shown of the steps.
    hint: what to do after Stop, asked for then. heading: stands above what is shown.
    validation: what has measured the steps, None where nothing is held out.
    whole: vectors with those of encoders that do not train.

    A checkpoint that cannot be saved ends nothing: it is said on the node, and the run goes on.
    """

    def __init__(
        self,
        name: str,
        metadata: Mapping[str, str],
        node_id: str,
        steps: int,
        save_every: int,
        overwrite: bool,
        memory: TrainingMemory,
        watch: RunWatch,
        hint: Callable[[], str] = lambda: "",
        heading: str = "",
        validation: Validation | None = None,
        whole: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda vectors: vectors,
    ) -> None:
        self.losses: list[float] = []
        self._name = name
        self._metadata = metadata
        self._node_id = node_id
        self._steps = steps
        self._save_every = save_every
        self._memory = memory
        self._watch = watch
        self._overwrite = overwrite
        self._progress = comfy.utils.ProgressBar(steps)
        self._last: StepReport | None = None
        self._begun_at = 0
        self._saved: dict[int, Path] = {}
        self._problem = ""
        self._hint = hint
        self._validation = validation
        self._chosen: list[str] = []
        self._heading = heading
        self._whole = whole

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
            self._save_step(report.step, report.vectors)
        picture = self._watch.step(report)
        show_on_node(f"{self._heading}{self._watch.lines}\n{self._memory}{self._problem}", self._node_id)
        if report.step < self._steps:  # the last one is shown with the result
            self._show(report.step, picture)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def finish(self, vectors: Mapping[str, Tensor]) -> ConceptEmbedding:
        """Show the result, while the session is open, and hand it on: the last step, by these vectors, or an earlier
        one that was chosen; then the last is kept beside it."""
        metadata, last = dict(self._metadata), len(self.losses)
        chosen = None if self._validation is None else self._validation.best
        if self._validation is not None:
            self._chosen = chosen_notes(self._validation, self._steps)
        if chosen is not None:
            metadata |= {"dti.step": str(chosen.step), "dti.validation": self._chosen[0]}
        if chosen is not None and chosen.step != last:
            path = self._save_step(last, vectors)
            self._chosen.append(self._problem.strip() if path is None else f"step {last}, the last, is saved to {path}")
            vectors = chosen.vectors
        self._show(self._steps, self._watch.finish(vectors))
        return sealed(ConceptEmbedding(self._name, self._whole(vectors), metadata))

    def notes(self) -> list[str]:
        """What is to be said when all is over: steps that came to nothing, and which step was chosen."""
        return [*self.left_out(), *self._chosen]

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
            said = "\n".join(filter(None, (self._keep_last(), self._keep_best(), self._hint())))
            if said:
                show_on_node(f"{self._heading}{said}", self._node_id)
                notify(f"{self._heading}{said}")
            raise

    def _show(self, step: int, picture: Image.Image | None) -> None:
        preview = None if picture is None else ("JPEG", picture, None)  # format, image, and no largest edge
        self._progress.update_absolute(step, self._steps, preview)

    def _keep_last(self) -> str:
        """Keep what has been trained so far; where, or why not."""
        if self._last is None:
            return ""
        path = self._save_step(self._last.step, self._last.vectors)
        return self._problem.strip() if path is None else f"Stopped; step {self._last.step} is saved to {path}"

    def _keep_best(self) -> str:
        """Keep the step of the lowest validation loss too, unless an earlier part of the run has; where, or why not."""
        best = None if self._validation is None else self._validation.best
        if best is None or self._last is None or not self._begun_at < best.step < self._last.step:
            return ""
        path = self._save_step(best.step, best.vectors)
        if path is None:
            return self._problem.strip()
        return f"Step {best.step}, of the lowest validation loss so far, is saved to {path}"

    def _save_step(self, step: int, vectors: Mapping[str, Tensor]) -> Path | None:
        """Save as `<name>-step<N>`, unless that step is on disk already; where it is, None where it cannot be."""
        if step in self._saved:
            return self._saved[step]
        ending = f"-step{step}"
        # Room for a number behind it.
        name = self._name[: MAX_LENGTH - len(ending) - 5].rstrip("./") + ending
        metadata = {**self._metadata, "dti.step": str(step)}
        try:
            _, path = keep(ConceptEmbedding(name, self._whole(vectors), metadata), self._overwrite)
        except Exception as error:
            log.exception("DTI: step %d was not saved", step)
            self._problem = f"\nStep {step} was not saved: {error}"
            return None
        log.info("DTI: saved step %d to %s", step, path)
        self._saved[step] = path
        self._problem = ""
        return path
