"""The images of several concepts in one pool, from which the batches of a shared run are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .data import TrainingImage

# Images of so many can be drawn as often to the last one; beyond, to a few in a thousand.
MOST_COPIES = 5040


def drawn_evenly(concepts: Sequence[Sequence[TrainingImage]]) -> list[list[TrainingImage]]:
    """The images of each concept, repeated so that each concept is drawn as often as any other, however many it has."""
    counts = [sum(image.repeats for image in images) for images in concepts]
    copies = min(math.lcm(*counts), max(MOST_COPIES, *counts))
    factors = [max(1, round(copies / count)) for count in counts]
    repeats = [[factor * image.repeats for image in images] for factor, images in zip(factors, concepts, strict=True)]
    shared = math.gcd(*(count for own in repeats for count in own))
    return [
        [replace(image, repeats=count // shared) for image, count in zip(images, own, strict=True)]
        for images, own in zip(concepts, repeats, strict=True)
    ]


def shares(images: Sequence[TrainingImage], names: Iterable[str]) -> dict[str, float]:
    """By name of a concept, the share of what is drawn from the pool that names it; captions are `with_names`."""
    drawn = sum(image.repeats for image in images)
    return {name: sum(_draws_that_name(f"{{{name}}}", image) for image in images) / drawn for name in names}


def _draws_that_name(slot: str, image: TrainingImage) -> float:
    naming = sum(slot in caption for caption in image.captions)
    return image.repeats * naming / len(image.captions)
