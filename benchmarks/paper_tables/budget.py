"""How long it takes: seconds per step and per picture on this machine, and hours for the whole plan."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from small_world.sample import Sampling
from small_world.subjects import SUBJECTS

from .evaluation import evaluation_prompts
from .job import Job, unscored
from .methods import learn
from .plan import CONCEPTS, Examination
from .settings import Settings
from .store import Store
from .world import World

STEPS = 40  # a busy machine's steps differ by a factor of two
PICTURES = 40


@dataclass(frozen=True)
class Speed:
    """Seconds on one core."""

    per_step: float
    per_picture: float


@dataclass(frozen=True)
class Amount:
    """How much is to be done."""

    trainings: int
    steps: int
    pictures: int

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.trainings - other.trainings, self.steps - other.steps, self.pictures - other.pictures)

    def seconds(self, speed: Speed, workers: int) -> float:
        return (self.steps * speed.per_step + self.pictures * speed.per_picture) / workers


def measure(world: World, examination: Examination) -> Speed:
    """A few steps and a batch of pictures."""
    subject = SUBJECTS[0]
    settings = Settings("dti", steps=STEPS)
    images, stamps = world.images(subject, False), []
    with world.session() as (text_encoder, denoiser):
        learn(text_encoder, denoiser, images, settings, 1, lambda _: stamps.append(time.monotonic()), word=subject.word)
    # Half of the steps, since the first ones meet captions that are not tokenized yet.
    half = STEPS // 2
    begun = time.monotonic()
    texts = [prompt.text for prompt in evaluation_prompts(subject, Examination())][:PICTURES]
    world.paint_word(texts, subject.word, [0], Sampling(steps=examination.steps, guidance=examination.guidance))
    painted = time.monotonic() - begun
    return Speed((stamps[-1] - stamps[half - 1]) / (STEPS - half), painted / len(texts))


def amount(jobs: Iterable[Job], store: Store | None = None) -> Amount:
    """What of the jobs is not in the store yet; without a store, all of it."""
    runs_left = {job: unscored(job, store) if store else list(job.runs) for job in jobs}
    untrained = [
        job
        for job, runs in runs_left.items()
        if runs and job.run.settings.trains and not (store and store.training(job.run.training_id))
    ]
    return Amount(
        trainings=len(untrained),
        steps=sum(job.run.settings.steps for job in untrained),
        pictures=sum(
            len(evaluation_prompts(CONCEPTS[run.concept], run.examination))
            for runs in runs_left.values()
            for run in runs
        ),
    )


def described(total: Amount, speed: Speed, workers: Sequence[int] = (1, 2)) -> str:
    """The estimate in a line."""
    hours = ", ".join(f"{total.seconds(speed, n) / 3600:.1f} h with {n}" for n in workers)
    return (
        f"{total.trainings} trainings ({total.steps} steps at {speed.per_step:.3f} s), {total.pictures} images "
        f"at {speed.per_picture:.3f} s: {hours} worker(s) of one core each"
    )
