"""Which embedding to take: the one that follows the prompt best among those that still show the subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .intervals import Values, bootstrap


@dataclass(frozen=True, eq=False)
class Scores:
    """Of one embedding, `[prompts, seeds]`: likeness of its images, and how well they follow the prompt.

    Either may be None where nothing scores it. The same prompt and seed in another's scores is a pair.
    """

    image: Values | None
    text: Values | None


@dataclass(frozen=True)
class Choice:
    """chosen: number of the embedding. eligible: numbers of those that it was chosen among. best: of the most image,
    None where images are not scored."""

    chosen: int
    eligible: tuple[int, ...]
    best: int | None


def choose_within_interval(scores: Sequence[Scores]) -> Choice:
    """The most text at an image score within the interval of the best.

    Eligible is what is not below the highest mean of image beyond the 95 % interval of the difference, pair by pair.
    Where only one of both is scored, the highest of it.
    """
    images = [one.image for one in scores if one.image is not None]
    if not images:
        return _most_text(scores, range(len(scores)), None)
    means = [float(image.mean()) for image in images]
    best = int(np.argmax(means))
    eligible = [n for n, image in enumerate(images) if n == best or bootstrap(image - images[best]).high >= 0]
    return _most_text(scores, eligible, best)


def choose_by_share(scores: Sequence[Scores], floor: Values, share: float) -> Choice:
    """The most text among those that keep this share, 0 to 1, of what the best one's images have above the floor.

    floor: image scores of the class word. 1 is the most image, 0 the most text of all that are no less than the floor.
    """
    images = [one.image for one in scores if one.image is not None]
    if not images:
        raise ValueError("a share of the likeness needs image scores; connect an image scorer, or choose by interval.")
    means = [float(image.mean()) for image in images]
    best, lowest = int(np.argmax(means)), float(floor.mean())
    least = lowest + share * (means[best] - lowest)
    eligible = [n for n, mean in enumerate(means) if n == best or mean >= least]
    return _most_text(scores, eligible, best)


def _most_text(scores: Sequence[Scores], eligible: Sequence[int], best: int | None) -> Choice:
    texts = {n: float(text.mean()) for n in eligible if (text := scores[n].text) is not None}
    if not texts and best is None:
        raise ValueError("there are neither image nor text scores to choose by; connect at least one scorer.")
    chosen = max(texts, key=lambda n: texts[n]) if texts else best
    assert chosen is not None
    return Choice(chosen, tuple(eligible), best)
