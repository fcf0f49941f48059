"""Pictures of the results; colours that most people can tell apart (Okabe and Ito), and a marker for each as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .bootstrap import bootstrap
from .plan import Table
from .results import Results

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#8C564B")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
Line = tuple[str, Sequence[float], Sequence[float]]


def front(tables: Sequence[Table], results: Results, path: Path) -> None:
    """Image against text, a point per row, with bars for the 95 % intervals."""
    figure, axes = _figure()
    number = 0
    for table in tables:
        for row in table.rows:
            image, text = (bootstrap(results.values(table, row, axis)) for axis in ("image", "text"))
            if not image.count:
                continue
            axes.errorbar(
                text.mean, image.mean,
                xerr=[[text.mean - text.low], [text.high - text.mean]],
                yerr=[[image.mean - image.low], [image.high - image.mean]],
                color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], linewidth=0.8,
                label=row.label,
            )  # fmt: skip
            number += 1
    _save(figure, axes, path, "text: share of what the prompt asks for", "image: likeness to the references")


def strengths(curves: Mapping[str, Sequence[tuple[float, float, str]]], path: Path) -> None:
    """Curves of (image, text, label) along a knob: how far along the front it goes."""
    figure, axes = _figure()
    for number, (name, points) in enumerate(curves.items()):
        if points:
            images, texts, labels = zip(*points, strict=True)
            axes.plot(texts, images, color=COLOURS[number], marker=MARKERS[number], linewidth=1, label=name)
            for image, text, label in zip(images, texts, labels, strict=True):
                axes.annotate(label, (text, image), fontsize=7, xytext=(3, 3), textcoords="offset points")
    _save(figure, axes, path, "text: share of what the prompt asks for", "image: likeness to the references")


def lines(curves: Mapping[str, Sequence[Line]], path: Path, x: str, y: str, log_y: bool = False) -> None:
    """Named bundles of curves, a colour each; within a bundle, dashes tell apart."""
    figure, axes = _figure()
    for number, (name, bundle) in enumerate(curves.items()):
        for style, (part, across, up) in zip(("-", "--", ":"), bundle, strict=False):
            axes.plot(across, up, color=COLOURS[number % len(COLOURS)], linestyle=style, label=f"{name}, {part}")
    if log_y:
        axes.set_yscale("log")
    _save(figure, axes, path, x, y)


def _figure():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure, axes, path: Path, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(fontsize=8, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
