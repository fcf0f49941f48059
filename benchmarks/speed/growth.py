"""How a step's time grows with what a person may turn up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from dti_pack.dti_core.training.data import TrainingImage

from benchmarks.speed.product import config, seconds_per_step
from benchmarks.speed.turns import Timed
from benchmarks.speed.world import World


def growth(world: World, steps: int) -> dict[str, tuple[Timed, Timed]]:
    """What is varied, each with its small and its large case: seconds per step of short trainings."""

    def short(images: Sequence[TrainingImage] = (), n_vectors: int = 0) -> Timed:
        return lambda: mean(seconds_per_step(world, config(steps + 1, n_vectors=n_vectors), images=images))

    one, many = _with_captions(world.images, 1), _with_captions(world.images, 1000)
    return {
        "400 images / 4": (short(), short(list(world.images) * 100)),
        "1000 captions / 27": (short(), short(many)),
        "27 captions / 1": (short(one), short()),
        "4 vectors / 1": (short(n_vectors=1), short(n_vectors=4)),
        "16 vectors / 1": (short(n_vectors=1), short(n_vectors=16)),
    }


def late_to_early(world: World, steps: int) -> float:
    """The last quarter of a training's steps in the time of its first quarter."""
    seconds = seconds_per_step(world, config(steps))
    quarter = len(seconds) // 4
    return mean(seconds[-quarter:]) / mean(seconds[:quarter])


def _with_captions(images: Sequence[TrainingImage], count: int) -> list[TrainingImage]:
    captions = tuple(f"a photo of a {{}} number {number}" for number in range(count))
    return [replace(image, captions=captions) for image in images]
