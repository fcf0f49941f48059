"""How often images are drawn beside one another, as other trainers count repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .data import TrainingImage


def drawn_by(repeats: Sequence[int], n_pictures: int) -> tuple[int, ...]:
    """Repeats of each picture, without what is common to all: 10 and 20 are 1 and 2.

    repeats: one for each picture, one for all, or none. Raises ValueError for another number of them, or below 1.
    """
    if len(repeats) not in (0, 1, n_pictures):
        raise ValueError(
            f"got {len(repeats)} repeats for {n_pictures} images; connect those of the node that gives the images, or "
            "none."
        )
    for number, count in enumerate(repeats, start=1):
        if count < 1:
            raise ValueError(
                f"repeats of image {number} is {count}; it has to be 1 or more. Leave the image out instead."
            )
    shared = math.gcd(*repeats) if len(repeats) > 1 else 0
    return tuple(count // shared for count in repeats) if shared else (1,) * n_pictures


def with_repeats(images: Sequence[TrainingImage], repeats: Sequence[int]) -> list[TrainingImage]:
    """Images that are drawn so often. repeats: of each picture; there may be mirror images behind the images of all."""
    return [replace(image, repeats=repeats[number % len(repeats)]) for number, image in enumerate(images)]
