"""Runs of DTI Train one after the other, of which one may fail without the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.training.fingerprints import digest
from ..dti_core.training.start import PRIORS
from .concept_images.concept import Concept, images_digest
from .host.embeddings.finished import MARK, finished
from .host.embeddings.saving import check_reload
from .host.node_text import notify, show_on_node
from .host.training.attempt import Failure, attempt
from .host.training.model_fingerprint import model_fingerprint
from .prompt_name import trigger
from .run_picture.line import draw_line
from .run_plan import planned_run
from .train_run import run_training

# Settings that do not change what a run comes to; the models have fingerprints.
FREE = frozenset(
    {"model", "clip", "vae", "microbatch_size", "save_every", "if_exists", "memory_plan", "resume"}
    | {"preview_every", "preview_prompts"}
)
# The other ways to resume may lead elsewhere than the settings say.
SURE = ("auto", "never")


@dataclass(frozen=True, eq=False)
class TrainedConcept:
    """What has come of a concept. path: None where it is in memory only. message: what is to be said."""

    embedding: ConceptEmbedding
    trigger: object
    picture: Tensor
    path: Path | None
    message: str


@dataclass(frozen=True)
class QueueResult:
    """trained: in order. n_failed: of the others, and of those not saved. report: on all of them."""

    trained: Sequence[TrainedConcept]
    n_failed: int
    report: str


def train_concepts(settings: Mapping[str, Any], concepts: Sequence[Concept], node_id: str) -> QueueResult:
    """Train one after the other; what an earlier run has finished is taken from its file.

    settings: what DTI Train takes, without what a concept brings. node_id: where texts are shown.

    Raises the host's interrupt at Stop, and RuntimeError where there is no result at all.
    """
    patchers = [settings["model"], settings["clip"].patcher, settings["vae"].patcher]
    models = [model_fingerprint(patcher) for patcher in patchers]
    names = [concept.name.casefold() for concept in concepts]
    turns = [_Turn(settings, concept, models, names[:number]) for number, concept in enumerate(concepts)]
    if problems := [f"{turn.name} will not be trained: {turn.problem}" for turn in turns if turn.problem]:
        _say("\n".join(problems), node_id)
    results: list[TrainedConcept | Failure] = []
    for number, turn in enumerate(turns, start=1):
        heading = f"Concept {number} of {len(turns)}: {turn.name}\n"
        try:
            results.append(turn.result(heading, node_id))
        except BaseException:
            done = [one.name for one, result in zip(turns, results, strict=False) if _is_saved(result)]
            notify(
                f"{heading}Stopped. {len(done)} of {len(turns)} concepts are trained: {', '.join(done) or 'none'}. "
                "Press Run with nothing changed to go on from there."
            )
            raise
    lines = [f"{turn.name}: {_said(result)}" for turn, result in zip(turns, results, strict=True)]
    failed = [number for number, result in enumerate(results) if not _is_saved(result)]
    summary = f"{len(turns) - len(failed)} of {len(turns)} concepts are trained and saved"
    if failed:
        summary += f"; not {', '.join(turns[number].name for number in failed)}"
    report = "\n".join([summary, *lines])
    trained = [result for result in results if isinstance(result, TrainedConcept)]
    if not trained:
        raise RuntimeError(report)
    show_on_node(report, node_id)
    if failed:
        notify("\n".join([summary, *(lines[number] for number in failed)]))
    return QueueResult(trained, len(failed), report)


class _Turn:
    """What is to be done about one concept.

    models: fingerprints. earlier: names that are taken by concepts before it, in lower case.
    problem: why it cannot be trained; "" where nothing is known against it.
    """

    def __init__(
        self, settings: Mapping[str, Any], concept: Concept, models: Sequence[str], earlier: Sequence[str]
    ) -> None:
        self.name = concept.name
        self._concept, self._models = concept, models
        own = {"name": concept.name, "initializer": concept.initializer, "templates": concept.templates}
        self._inputs = {**settings, **own, "start_from": None, "prior": PRIORS[0]}
        self._finished = None
        if settings["resume"] == "auto":
            self._finished = finished(concept.name, self._mark(concept.digest))
        self.problem = "" if self._finished is not None else self._find_problem(earlier)

    def result(self, heading: str, node_id: str) -> TrainedConcept | Failure:
        """Train it, or take it from its file."""
        if self.problem:
            return Failure(self.problem)
        done = self._finished
        if done is not None:
            return attempt(lambda: self._from_file(*done), self.name)
        return attempt(lambda: self._trained(heading, node_id), self.name)

    def _trained(self, heading: str, node_id: str) -> TrainedConcept:
        show_on_node(heading, node_id)
        pictures, masks = self._concept.read()
        captions, repeats = self._concept.captions, self._concept.repeats
        mark = self._mark(images_digest(pictures, masks, captions, repeats))
        notes = {MARK: mark} if self._inputs["resume"] in SURE else {}
        run = run_training(self._inputs, pictures, captions, masks, node_id, repeats, heading, notes)
        return TrainedConcept(run.saved.embedding, run.saved.trigger, run.picture, run.saved.path, run.message)

    def _from_file(self, embedding: ConceptEmbedding, path: Path) -> TrainedConcept:
        check_reload(self._inputs["clip"], embedding)
        message = f"finished before, {path}"
        return TrainedConcept(embedding, trigger(embedding.name), draw_line(f"{self.name}: {message}"), path, message)

    def _find_problem(self, earlier: Sequence[str]) -> str:
        if self._concept.problem:
            return self._concept.problem
        if self.name.casefold() in earlier:
            return f"Another concept before it is called {self.name!r} too. Give each a name of its own."
        try:
            planned_run(self._inputs, self._concept.n_images, self._concept.captions, self._concept.repeats)
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def _mark(self, images: str) -> str:
        """By which a run of these settings on these images and models is known again."""
        settings = {key: value for key, value in sorted(self._inputs.items()) if key not in FREE}
        return digest((settings, images, self._models))


def _is_saved(result: TrainedConcept | Failure) -> bool:
    return isinstance(result, TrainedConcept) and result.path is not None


def _said(result: TrainedConcept | Failure) -> str:
    said = f"not trained. {result.reason}" if isinstance(result, Failure) else result.message
    return said.replace("\n", "\n  ")


def _say(text: str, node_id: str) -> None:
    show_on_node(text, node_id)
    notify(text)
