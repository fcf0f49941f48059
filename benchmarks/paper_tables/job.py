"""One unit of work: a training, unless it is there, and the scores that are wanted of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from dti_pack.dti_core.training import StepReport
from dti_pack.dti_core.training.evaluation_set import EvaluationSet
from dti_pack.dti_core.training.validation import DRAWS, Validation, split
from small_world.subjects import Style, Subject
from small_world.words import NOUNS
from torch import Tensor

from .evaluation import norms, paint, score, used_vectors
from .methods import learn
from .plan import CONCEPTS, Run
from .settings import CHOSEN
from .store import Store
from .world import World

NOTE_EVERY = 10  # steps between notes of loss, norms, angles


@dataclass(frozen=True)
class Job:
    """Runs that share one training."""

    runs: tuple[Run, ...]
    checkpoint_every: int

    @property
    def run(self) -> Run:
        """Any of them: concept, seed and settings are the same in all."""
        return self.runs[0]


def jobs_of(runs: Iterable[Run], checkpoint_every: int) -> list[Job]:
    """Runs grouped by training, in the order of their first mention."""
    grouped: dict[str, dict[Run, None]] = {}
    for run in runs:
        grouped.setdefault(run.training_id, {})[run] = None
    return [Job(tuple(together), checkpoint_every) for together in grouped.values()]


def unscored(job: Job, store: Store) -> list[Run]:
    """The runs of a job that have no score yet; none when it is done."""
    return [run for run in job.runs if store.score(run.score_id) is None]


def do(job: Job, world: World, store: Store) -> str:
    """Train where there is no training yet, then examine what has no score. What was done, in a line."""
    concept = CONCEPTS[job.run.concept]
    settings, begun = job.run.settings, time.monotonic()
    by_step: dict[int, dict[str, Tensor]] = {}
    if settings.trains:
        by_step = trained(job, world, store, concept)
    trained_at = time.monotonic()
    lengths, word = world.lengths(), world.word_vectors(concept.word)
    examined = unscored(job, store)
    for run in examined:
        vectors = used_vectors(by_step, run.use, lengths, word)
        prompts, pictures = paint(world, concept, settings, vectors, run.examination)
        found = score(world.judge, world.trust, concept, prompts, pictures)
        norm = norms(word if settings.method == "class_word" else vectors, lengths)
        store.save_score(run.score_id, {**found, "norm": norm})
    return (
        f"{concept.name} {settings.method} seed {job.run.seed}: trained in {trained_at - begun:.0f} s, "
        f"examined {len(examined)} times in {time.monotonic() - trained_at:.0f} s"
    )


def trained(job: Job, world: World, store: Store, concept: Subject | Style) -> dict[int, dict[str, Tensor]]:
    """Vectors by step, 0 for the result, CHOSEN for what an image that was held out has chosen; from the store where
    they are there."""
    found = store.training(job.run.training_id)
    if found is not None:
        return found[0]
    settings = job.run.settings
    by_step: dict[int, dict[str, Tensor]] = {}
    history: list[dict[str, Any]] = []

    def note(report: StepReport) -> None:
        if report.step % job.checkpoint_every == 0:
            by_step[report.step] = dict(report.vectors)
        if report.step % NOTE_EVERY == 0 or report.step in (1, settings.steps):
            history.append(noted(report))

    images = world.images(concept, settings.surroundings)
    contextual = world.contextual(concept.word) if settings.method == "cross_init" else None
    words = [nouns[0] for nouns in NOUNS.values()]
    images, held_out = split(images, len(images), int(settings.validate_every > 0))
    validation = None
    begun = time.monotonic()
    with world.session() as (text_encoder, denoiser):
        if held_out:
            measure = EvaluationSet(text_encoder, denoiser, held_out, DRAWS).loss
            validation = Validation(measure, settings.validate_every)
        by_step[0] = learn(
            text_encoder, denoiser, images, settings, job.run.seed, note,
            word=concept.word, words=words, contextual=contextual, validation=validation,
        )  # fmt: skip
    notes = {"history": history, "seconds": time.monotonic() - begun, "concept": concept.name, "seed": job.run.seed}
    if validation is not None and validation.best is not None:
        by_step[CHOSEN] = dict(validation.best.vectors)
        notes["validation"] = dict(zip(validation.steps, validation.losses, strict=True))
    store.save_training(job.run.training_id, by_step, notes)
    return by_step


def noted(report: StepReport) -> dict[str, Any]:
    """One line of the history; norms are means over the vectors."""
    return {
        "step": report.step,
        "loss": report.loss,
        "norm": {key: float(torch.as_tensor(rows).norm(dim=-1).mean()) for key, rows in report.vectors.items()},
        "angle": dict(report.angle_to_prior),
        "gradient": dict(report.data_gradient_norm),
    }
