"""The image that Norm Inspector gives: one page per text encoder, drawn with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from ...dti_core.analysis.norms import LONG, VERY_LONG
from ..palette import COLOURS
from ..plot_style import drawn, new_figure, own_style
from .inspection import EncoderInspection
from .norm_text import times_text

MARKERS = "osD^vPX"
WORDS = "#9A9A9A"
LONG_BAND, VERY_LONG_BAND = "#FFF3D6", "#FBDDD3"
# Where a band begins, its name and colour, and the share of the axis that the name takes.
BANDS = ((LONG, "long", LONG_BAND, 0.07), (VERY_LONG, "very long", VERY_LONG_BAND, 0.12))

LABEL_LENGTH = 26
LEGEND_COLUMNS = 3

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000)
CLOSE_TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 2.5)
SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)


@dataclass(frozen=True, eq=False)
class EncoderPage:
    """What one page shows: an encoder's key, the norms of its words, and an inspection per embedding."""

    encoder: str
    word_norms: Tensor
    labels: Sequence[str]
    inspections: Sequence[EncoderInspection]


def draw_pages(pages: Sequence[EncoderPage]) -> Tensor:
    """Images [n_pages, 768, 1024, 3] float32 in [0, 1]. Beyond seven embeddings the first seven are drawn."""
    with own_style():
        return torch.stack([_drawn(page) for page in pages])


def _drawn(page: EncoderPage) -> Tensor:
    figure = new_figure()
    legend_rows = -(-min(len(page.labels), len(COLOURS)) // LEGEND_COLUMNS)
    rows = figure.add_gridspec(
        2, 2, height_ratios=(1, 1.15), left=0.085, right=0.975, bottom=0.085, top=0.865 - 0.035 * legend_rows,
        hspace=0.5, wspace=0.22,
    )  # fmt: skip
    _heading(figure, page)
    _draw_norms(figure.add_subplot(rows[0, :]), page)
    _draw_position(figure.add_subplot(rows[1, 0]), page)
    _draw_turning(figure.add_subplot(rows[1, 1]), page)
    return drawn(figure)


def _heading(figure: Figure, page: EncoderPage) -> None:
    norms = page.inspections[0].norms
    title = f"{page.encoder}: words have a mean norm of {norms.mean:.3g} (standard deviation {norms.std:.2g})"
    figure.text(0.085, 0.955, title, fontsize=16, fontweight="bold")
    left_out = len(page.labels) - len(COLOURS)
    names = [
        f"{_shortened(label)} ({_multiples(inspection)})"
        for label, inspection in zip(page.labels[: len(COLOURS)], page.inspections, strict=False)
    ]
    if left_out > 0:
        names[-1] += f", {left_out} more in the report"
    handles = [Line2D([], [], color=c, marker=m) for c, m, _ in zip(COLOURS, MARKERS, names, strict=False)]
    legend = figure.legend(
        handles, [str(i) for i in range(len(names))], loc="upper left", bbox_to_anchor=(0.075, 0.95),
        ncols=LEGEND_COLUMNS, frameon=False, fontsize=12, columnspacing=1.2, handlelength=1.6, borderpad=0.2,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)  # as a label, a name that begins with "_" would be left out


def _draw_norms(axes: Axes, page: EncoderPage) -> None:
    mean = page.inspections[0].norms.mean
    times = page.word_norms.numpy() / mean
    own = [[vector.times_mean for vector in inspection.norms.vectors] for inspection in page.inspections]
    shown = [t for ts in own for t in ts if t > 0]
    low, high = min([times.min(), *shown]), max([times.max(), *shown])
    axes.set_xlim(*_limits(low, high))
    _times_axis(axes, mean)
    axes.hist(times, bins=list(np.geomspace(times.min(), times.max() * 1.0001, 60)), color=WORDS)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)
    for start, name, colour, _ in BANDS:
        axes.text(
            start * 1.03, 0.72, name, fontsize=11, transform=axes.get_xaxis_transform(), clip_on=True,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 2}, zorder=5,
        )  # fmt: skip
    for ts, colour, marker in zip(own, COLOURS, MARKERS, strict=False):
        for t in ts:
            axes.axvline(t, color=colour)
            axes.plot([t], [0.93], marker, color=colour, transform=axes.get_xaxis_transform())
    axes.set_title("Norm compared with the vocabulary's words")
    axes.set_ylabel("words")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _draw_position(axes: Axes, page: EncoderPage) -> None:
    axes.set_title("Effect I: how much position is left")
    mean = page.inspections[0].norms.mean
    for inspection, colour, marker in zip(page.inspections, COLOURS, MARKERS, strict=False):
        curve = inspection.position
        if curve is None:
            axes.text(0.5, 0.5, "no positions are added here", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
            return
        axes.plot(curve.magnitudes / mean, curve.shares, color=colour, alpha=0.55, zorder=2)
        times = [vector.times_mean for vector in inspection.norms.vectors]
        axes.plot(times, curve.own, marker, color=colour, markersize=12, markeredgecolor="white", zorder=3)
        axes.set_xlim(float(curve.magnitudes[0] / mean), float(curve.magnitudes[-1] / mean))
    axes.set_yscale("log")
    _times_axis(axes, mean)
    low, high = axes.get_ylim()
    axes.set_yticks(SHARES, [f"{100 * share:g} %" for share in SHARES])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, min(high, 1))
    axes.grid(True, color="0.9")


def _draw_turning(axes: Axes, page: EncoderPage) -> None:
    axes.set_title("Effect II: degrees turned by each block")
    for inspection, colour, marker in zip(page.inspections, COLOURS, MARKERS, strict=False):
        blocks = range(1, len(inspection.turning.per_block) + 1)
        axes.plot(blocks, inspection.reference.per_block, "--", color=colour, alpha=0.6, linewidth=1.8)
        every = -(-len(blocks) // 8)
        axes.plot(blocks, inspection.turning.per_block, color=colour, marker=marker, markersize=8, markevery=every)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, len(blocks) + 0.5)
    axes.set_xlabel("block")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, axis="y", color="0.9")
    names = {inspection.reference_label for inspection in page.inspections[: len(COLOURS)]}
    name = _shortened(names.pop()) if len(names) == 1 else "their references"
    axes.legend(
        [Line2D([], [], color="0.4", linestyle="--")], [f"dashed: {name}"], frameon=False, fontsize=11,
        loc="best", handlelength=1.6,
    )  # fmt: skip


def _limits(low: float, high: float) -> tuple[float, float]:
    """Ends of the axis of multiples, where the name of every band that begins within it has room."""
    left, right = max(low / 1.15, 0.01), max(high * 1.25, LONG)
    for start, _, _, share in BANDS:
        if start <= right:
            right = max(right, math.exp((math.log(start) - share * math.log(left)) / (1 - share)))
    return left, right


def _times_axis(axes: Axes, mean: float) -> None:
    """A logarithmic axis in multiples of the words' mean norm, with the norm itself beneath."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [t for t in (CLOSE_TICKS if high < VERY_LONG else TICKS) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}x\n{t * mean:.2g}" for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)
    for start, end, colour in ((LONG, VERY_LONG, LONG_BAND), (VERY_LONG, high, VERY_LONG_BAND)):
        if start < high:
            axes.axvspan(start, min(end, high), color=colour, zorder=0, linewidth=0)


def _multiples(inspection: EncoderInspection) -> str:
    times = [vector.times_mean for vector in inspection.norms.vectors]
    shown = list(dict.fromkeys(f"{times_text(value)}x" for value in (min(times), max(times))))
    return " to ".join(shown)


def _shortened(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 3]}..."
