"""Scores of several embeddings beside the class word's: means, differences pair by pair, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .choice import Choice, Scores
from .intervals import Interval, Values, bootstrap


@dataclass(frozen=True)
class Standing:
    """One axis of one embedding. more: than the class word, of the same prompts and seeds. way: from the class word
    (0) to the ceiling (1); nan where none is known, and for text."""

    mean: Interval
    more: Interval
    way: float = math.nan


@dataclass(frozen=True)
class Row:
    """An embedding's line; an axis that nothing scores is None."""

    label: str
    image: Standing | None
    text: Standing | None


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """What was measured of embeddings `labels`, in this order, and which was chosen.

    word: the class word's scores. ceiling: likeness of images of the subject among themselves; nan where unknown.
    """

    labels: Sequence[str]
    scores: Sequence[Scores]
    word: Scores
    ceiling: float
    choice: Choice

    def rows(self) -> list[Row]:
        return [
            Row(label, _standing(own.image, self.word.image, self.ceiling), _standing(own.text, self.word.text))
            for label, own in zip(self.labels, self.scores, strict=True)
        ]

    def word_row(self, label: str) -> Row:
        """The class word's own line, which is no more than itself."""
        return Row(label, _standing(self.word.image, self.word.image), _standing(self.word.text, self.word.text))


def _standing(values: Values | None, word: Values | None, ceiling: float = math.nan) -> Standing | None:
    if values is None or word is None:
        return None
    floor, mean = float(word.mean()), float(values.mean())
    way = (mean - floor) / (ceiling - floor) if ceiling > floor else math.nan
    return Standing(bootstrap(values), bootstrap(values - word), way)
