"""Likeness against text of all embeddings that were scored, drawn with matplotlib."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from ...dti_core.scoring.intervals import Interval
from ...dti_core.scoring.table import ScoreTable
from ..palette import COLOURS
from ..plot_style import drawn, new_figure, own_style
from .labels import short_labels

ORDINARY, CHOSEN, WORD, CEILING = COLOURS[1], COLOURS[0], "#7A7A7A", COLOURS[2]
AXES = {"image": "likeness to your images", "text": "agreement with the prompt"}
LABEL_LENGTH = 26


def draw_front(table: ScoreTable, word: str) -> Tensor:
    """An image [768, 1024, 3] in [0, 1]: both axes, or embeddings in order along the one that there is."""
    with own_style():
        figure = new_figure()
        axes = figure.add_axes((0.1, 0.1, 0.86, 0.8))
        if table.word.image is not None and table.word.text is not None:
            _both(axes, table, word)
        else:
            _one(axes, table, word, "text" if table.word.image is None else "image")
        return drawn(figure)


def _both(axes: Axes, table: ScoreTable, word: str) -> None:
    axes.set_title("upper right is better; bars: 95 % intervals of the difference to the class word")
    axes.set_xlabel(AXES["text"])
    axes.set_ylabel(AXES["image"])
    rows = table.rows()
    means = [(row.text.mean.mean, row.image.mean.mean) for row in rows if row.text and row.image]
    axes.plot(*np.array(means).T, color=ORDINARY, alpha=0.35, linewidth=1.2)
    for number, row in enumerate(rows):
        assert row.image is not None and row.text is not None
        chosen = number == table.choice.chosen
        x, y = row.text.mean.mean, row.image.mean.mean
        colour, marker, size = (CHOSEN, "*", 17) if chosen else (ORDINARY, "o", 8)
        x_bars, y_bars = _bars(row.text.more), _bars(row.image.more)
        axes.errorbar(
            x, y, y_bars, x_bars, fmt=marker, color=colour, markersize=size, elinewidth=1, zorder=3 if chosen else 2
        )
    own = table.word_row(word)
    assert own.image is not None and own.text is not None
    axes.plot(own.text.mean.mean, own.image.mean.mean, "D", color=WORD)
    _ceiling(axes, table)
    labels = [*short_labels(table.labels), f"the class word, {word}"]
    for label, (x, y) in zip(labels, [*means, (own.text.mean.mean, own.image.mean.mean)], strict=True):
        _label(axes, label, x, y)


def _one(axes: Axes, table: ScoreTable, word: str, axis: str) -> None:
    axes.set_title("bars: 95 % intervals of the difference to the class word")
    axes.set_ylabel(AXES[axis])
    rows = table.rows()
    for number, row in enumerate(rows):
        standing = row.image if axis == "image" else row.text
        assert standing is not None
        colour = CHOSEN if number == table.choice.chosen else ORDINARY
        axes.errorbar(number, standing.mean.mean, yerr=_bars(standing.more), fmt="o", color=colour, elinewidth=1)
    own = table.word_row(word)
    standing = own.image if axis == "image" else own.text
    assert standing is not None
    axes.axhline(standing.mean.mean, color=WORD, linestyle="--", linewidth=1.2)
    axes.text(len(rows) - 0.5, standing.mean.mean, f"the class word, {word}", color=WORD, ha="right", va="bottom")
    axes.set_xticks(range(len(rows)), list(map(_cut, short_labels(table.labels))), rotation=20, ha="right", fontsize=10)
    if axis == "image":
        _ceiling(axes, table)


def _ceiling(axes: Axes, table: ScoreTable) -> None:
    if np.isfinite(table.ceiling):
        axes.axhline(table.ceiling, color=CEILING, linestyle="--", linewidth=1.2)
        axes.text(
            0.01, table.ceiling, "your images, to each other", color=CEILING, va="top",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip


def _bars(more: Interval) -> list[list[float]]:
    # Percentiles of a bootstrap need not lie on both sides of the mean.
    return [[max(0.0, more.mean - more.low)], [max(0.0, more.high - more.mean)]]


def _label(axes: Axes, label: str, x: float, y: float) -> None:
    # Towards the middle, where there is room.
    side = 1 if x < sum(axes.get_xlim()) / 2 else -1
    axes.annotate(
        _cut(label), (x, y), xytext=(8 * side, 8), textcoords="offset points", fontsize=11,
        ha="left" if side == 1 else "right",
    )  # fmt: skip


def _cut(label: str) -> str:
    # The end tells steps apart.
    return label if len(label) <= LABEL_LENGTH else f"...{label[3 - LABEL_LENGTH :]}"
