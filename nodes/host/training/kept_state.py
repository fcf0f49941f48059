"""A run's state on disk, from which it goes on: in the output folder, where no prompt and no list of files looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import folder_paths
from torch import Tensor

from ....dti_core.training import StepReport, TrainingConfig
from ....dti_core.training.crops import Crop
from ....dti_core.training.data import TrainingImage
from ....dti_core.training.fingerprints import digest, fingerprints
from ....dti_core.training.pixels import with_mirrored
from ....dti_core.training.state import TrainingState
from ....dti_core.training.state_folder import Resumption, StateWriter, resumption
from ....dti_core.training.validation import n_held_out
from ....dti_core.vocabulary import Vocabulary
from .model_fingerprint import model_fingerprint

log = logging.getLogger(__name__)

FOLDER = "dti_states"


def states_folder(name: str) -> Path:
    """Where the states of runs of this name lie."""
    return Path(folder_paths.get_output_directory(), FOLDER, *name.split("/"))


def kept_state(
    inputs: Mapping[str, Any],
    config: TrainingConfig,
    data: Sequence[Sequence[TrainingImage]],
    pictures: Sequence[Sequence[Tensor]],
    vocabularies: Mapping[str, Vocabulary],
    others: Mapping[str, str],
) -> KeptState:
    """What to go on from, and where to keep the state. Call it in the training session.

    inputs: of the node: name, resolution, model, clip, vae, start_from, prior, resume, class_word, mirror,
        crop, random_crop, background_weight, held_out and validate_every. data: of the pictures of each concept, those
        that are held out too, and of mirrored ones where asked for. others: what else a run is known by.

    Raises ValueError where there is nothing to resume; the message names what differs.
    """
    others = {**others, **{key: model_fingerprint(inputs[key].patcher) for key in ("clip", "vae")}}
    others |= {"model": model_fingerprint(inputs["model"]), "resolution": str(inputs["resolution"])}
    others |= {key: str(inputs[key]) for key in ("class_word", "mirror")}
    others |= Crop(inputs["resolution"], inputs["crop"], inputs["random_crop"]).in_use()
    if any(image.weights is not None for images in data for image in images):
        others |= {"background_weight": str(inputs["background_weight"])}
    held_out = [n_held_out(len(shown), inputs["held_out"]) for shown in pictures]
    if any(held_out):
        others |= {"held_out": ", ".join(map(str, held_out)), "validate_every": str(inputs["validate_every"])}
    if inputs["mirror"]:
        pictures = [with_mirrored(shown) for shown in pictures]
    if inputs["start_from"] is not None:
        others |= {"start_from": digest(inputs["start_from"].vectors), "prior": inputs["prior"]}
    every_image, every_picture = [*chain(*data)], [*chain(*pictures)]
    now = fingerprints(config, every_image, vocabularies, others, every_picture)
    folder = states_folder(inputs["name"])
    return KeptState(folder, resumption(folder, now, config, inputs["resume"]))


class KeptState:
    """Keeps the state where one is due, and at the end of a run, at Stop and at an error.

    resumed: what the run goes on from, None for its start. losses: of the steps before.
    """

    def __init__(self, folder: Path, found: Resumption) -> None:
        self.resumed = found.state
        self.losses = () if found.state is None else found.state.losses
        self._note, self._problem = found.note, ""
        self._writer = StateWriter(folder, found.fingerprints, found.run)
        self._last = found.state

    def before(self, on_step: Callable[[StepReport], None]) -> Callable[[StepReport], None]:
        """`on_step`, after the state is kept: it may end the run."""

        def each_step(report: StepReport) -> None:
            self._last = report.state
            self._write(self._writer.write_where_due)
            on_step(report)

        return each_step

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the last state where a run ends early."""
        try:
            yield
        except BaseException:
            self._write(self._writer.write)
            raise

    def finish(self) -> None:
        """The result is safe: another run begins anew, or goes on to more steps."""
        self._write(lambda state: self._writer.write(replace(state, delivered=True)))

    def notes(self) -> list[str]:
        """What the run went on from, and what is wrong with its state; the run itself ends for none of it."""
        return [line for line in (self._note, self._problem) if line]

    def hint(self) -> str:
        """What to do after a run was stopped."""
        if self._problem or self._last is None or self._last.step == 0:
            return self._problem
        return f"To go on from step {self._last.step}, press Run with nothing changed and resume on 'auto'."

    def _write(self, write: Callable[[TrainingState], object]) -> None:
        if self._last is None or self._last.step == 0:
            return
        try:
            if write(self._last):
                self._problem = ""
        except Exception as error:  # whatever it is, the run itself is worth more
            problem = f"The training state was not saved, so that this run cannot be resumed: {error}"
            if problem != self._problem:
                log.warning("DTI: %s", problem)
            self._problem = problem
