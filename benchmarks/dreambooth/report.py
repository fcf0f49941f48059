"""The table, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from dti_pack.dti_core.scoring.intervals import Values, bootstrap

from benchmarks.dreambooth.protocol import ROWS
from benchmarks.dreambooth.scoring import Score
from benchmarks.speed.markdown import table

BASE = "ti"  # what the others are held against
# What is read of an image's score. The last is the number of the authors' column "Text".
COLUMNS: Mapping[str, Callable[[Score], float]] = {
    "Image, masked": lambda score: score.get("image_masked", math.nan),
    "Image, whole": lambda score: score["image"],
    "Text, logit": lambda score: score["logit"],
    "Text, probability": lambda score: (1 + math.tanh(score["logit"] / 2)) / 2,
}
NOTES = """\
Image: cosine of DINOv2's class tokens, mean over the subject's images; *masked* with their background black, as the
authors have it, *whole* as the images are. Text: SigLIP of the prompt with the class word; the authors report the
*probability*, which is close to 0 for whatever misses a little; the *logit* is what it is made of. In brackets 95 %
intervals, bootstrap over subjects.
"""


def report(
    scores: Mapping[tuple[str, str], Sequence[Score]],
    subjects: Sequence[str],
    rows: Sequence[str],
    facts: Sequence[str],
) -> str:
    """What there is of the table, over the subjects of which every row has scores."""
    rows = [name for name in ROWS if name in rows]
    common = [subject for subject in subjects if all((subject, row) in scores for row in rows)]
    lines = ["# The authors' protocol on SDXL", "", *(f"- {fact}" for fact in facts)]
    left_out = ", ".join(subject for subject in subjects if subject not in common)
    lines.append(
        f"- {len(common)} subjects" + (f"; left out, since a row has no scores: {left_out}" if left_out else "")
    )
    if not common:
        return "\n".join([*lines, "", "No scores yet.", ""])
    columns = [name for name in COLUMNS if not math.isnan(COLUMNS[name](scores[common[0], rows[0]][0]))]
    values = {(row, column): _by_subject(scores, common, row, COLUMNS[column]) for row in rows for column in columns}
    body = [[ROWS[row].label, *(bootstrap(values[row, column]) for column in columns), _paper(row)] for row in rows]
    lines += ["", table(["", *columns, "the authors' image / text"], body)]
    if BASE in rows and len(rows) > 1:
        others = [row for row in rows if row != BASE]
        body = [
            [
                f"{ROWS[row].label} - {ROWS[BASE].label}",
                *(_difference(values[row, c], values[BASE, c]) for c in columns),
            ]
            for row in others
        ]
        lines += ["", "Subject by subject:", "", table(["", *columns], body)]
    return "\n".join([*lines, "", NOTES])


def _by_subject(
    scores: Mapping[tuple[str, str], Sequence[Score]], subjects: Sequence[str], row: str, read: Callable[[Score], float]
) -> Values:
    """[subjects, 1]: every image of a subject counts alike, and every subject."""
    return np.array([[np.mean([read(score) for score in scores[subject, row]])] for subject in subjects])


def _difference(values: Values, base: Values) -> str:
    return str(bootstrap(values - base))


def _paper(row: str) -> str:
    published = ROWS[row].paper
    return "" if published is None else f"{published[0]:.3f} / {published[1]:.3f}"
