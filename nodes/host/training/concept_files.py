"""What a run leaves on disk of one concept: steps on the way, the last one where it ends early, and its result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.training import StepReport
from ....dti_core.training.validation import Validation
from ...held_out_notes import chosen_notes
from ...prompt_name import MAX_LENGTH
from ..embeddings.finished import sealed
from ..embeddings.saving import keep

log = logging.getLogger(__name__)

Vectors = Mapping[str, Tensor]
ALL_ROWS = slice(None)


class ConceptFiles:
    """Saves what a run gives as its vectors, by encoder key.

    name, metadata: of the embedding that is being trained.
    overwrite: whether steps of an earlier run may be replaced; else they are numbered.
    whole: the concept's vectors with those of encoders that do not train.
    validation: what has measured the steps, None where nothing is held out.
    rows: of the run's vectors, those of the concept. label: stands before what is said of it.

    A step that cannot be saved ends nothing: `problem` says it, "" where the last one was.
    """

    def __init__(
        self,
        name: str,
        metadata: Mapping[str, str],
        overwrite: bool,
        whole: Callable[[Vectors], Vectors] = lambda vectors: vectors,
        validation: Validation | None = None,
        rows: slice = ALL_ROWS,
        label: str = "",
    ) -> None:
        self.problem = ""
        self._name, self._metadata, self._overwrite = name, dict(metadata), overwrite
        self._whole, self._validation, self._rows, self._label = whole, validation, rows, label
        self._saved: dict[int, Path] = {}
        self._notes: list[str] = []

    def save_step(self, step: int, vectors: Vectors) -> Path | None:
        """Save as `<name>-step<N>`, unless that step is on disk already; where it is, None where it cannot be."""
        if step in self._saved:
            return self._saved[step]
        ending = f"-step{step}"
        # Room for a number behind it.
        name = self._name[: MAX_LENGTH - len(ending) - 5].rstrip("./") + ending
        metadata = {**self._metadata, "dti.step": str(step)}
        try:
            _, path = keep(ConceptEmbedding(name, self._whole(self._own(vectors)), metadata), self._overwrite)
        except Exception as error:
            log.exception("DTI: step %d was not saved", step)
            self.problem = f"{self._label}Step {step} was not saved: {error}"
            return None
        log.info("DTI: saved step %d to %s", step, path)
        self._saved[step] = path
        self.problem = ""
        return path

    def keep_at_stop(self, last: StepReport, begun_at: int) -> list[str]:
        """Keep what has been trained so far, and the step of the lowest validation loss too, unless an earlier part
        of the run has: it went on from the step `begun_at`. Where, or why not."""
        path = self.save_step(last.step, last.vectors)
        said = [self.problem if path is None else f"Stopped; step {last.step} is saved to {path}"]
        best = None if self._validation is None else self._validation.best
        if best is not None and begun_at < best.step < last.step:
            path = self.save_step(best.step, best.vectors)
            found = f"Step {best.step}, of the lowest validation loss so far, is saved to {path}"
            said.append(self.problem if path is None else found)
        return said

    def choose(self, vectors: Vectors, last: int, steps: int) -> Vectors:
        """The concept's vectors that are to be the result: of the last step of `steps` that were asked for, or of an
        earlier one that was chosen; then the last is kept beside it."""
        if self._validation is None:
            return self._own(vectors)
        self._notes = chosen_notes(self._validation, steps)
        chosen = self._validation.best
        if chosen is None:
            return self._own(vectors)
        if chosen.step != last:
            path = self.save_step(last, vectors)
            self._notes.append(self.problem if path is None else f"step {last}, the last, is saved to {path}")
        self._metadata |= {"dti.step": str(chosen.step), "dti.validation": self._notes[0]}
        return self._own(chosen.vectors)

    def result(self, own: Vectors) -> ConceptEmbedding:
        """What `choose` gave, as it is handed on."""
        return sealed(ConceptEmbedding(self._name, self._whole(own), self._metadata))

    def notes(self) -> list[str]:
        """Which step was chosen, when all is over."""
        return [f"{self._label}{note}" for note in self._notes]

    def _own(self, vectors: Vectors) -> dict[str, Tensor]:
        return {key: rows[self._rows] for key, rows in vectors.items()}
