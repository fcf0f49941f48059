"""Pictures of the results; colours that most people can tell apart (Okabe and Ito), and a marker for each as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dti_pack.dti_core.scoring.intervals import Interval

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#8C564B", "#5D3A9B",
    "#004D40",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "h", "d")
DASHES = ("-", "--", ":", "-.")
TEXT, IMAGE = "text: share of what the prompt asks for", "image: likeness to the references"
Line = tuple[str, Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Point:
    """A point of a curve, with a word beside it."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class Curve:
    """Points along a knob; curves of one method have its colour, and dashes tell them apart."""

    name: str
    method: str
    points: Sequence[Point]


def front(ends: Mapping[str, tuple[Interval, Interval]], curves: Sequence[Curve], path: Path) -> None:
    """Image against text: methods (image, text) with their 95 % intervals as crosses, and curves along knobs."""
    figure, axes = _figure()
    methods = _in_order([*ends, *(curve.method for curve in curves)])
    _draw(axes, curves, methods)
    for name, (image, text) in ends.items():
        axes.errorbar(
            text.mean, image.mean,
            xerr=[[text.mean - text.low], [text.high - text.mean]],
            yerr=[[image.mean - image.low], [image.high - image.mean]],
            **_look(methods.index(name)), linestyle="none", markersize=9, markeredgecolor="black", linewidth=0.8,
            label=name,
        )  # fmt: skip
    _save(figure, axes, path, TEXT, IMAGE)


def against_norm(curves: Sequence[Curve], levels: Mapping[str, float], path: Path) -> None:
    """Text over the norm at use, with the text of what needs no training as lines across."""
    figure, axes = _figure()
    _draw(axes, curves, _in_order([curve.method for curve in curves]))
    for (name, level), dashes in zip(levels.items(), ("--", ":"), strict=False):
        axes.axhline(level, color="black", linestyle=dashes, linewidth=1, label=name)
    axes.set_xscale("log")
    _save(figure, axes, path, "norm of the embedding, in m*", TEXT)


def lines(curves: Mapping[str, Sequence[Line]], path: Path, x: str, y: str, log_y: bool = False) -> None:
    """Named bundles of curves, a colour each; within a bundle, dashes tell apart."""
    figure, axes = _figure()
    for number, (name, bundle) in enumerate(curves.items()):
        for style, (part, across, up) in zip(("-", "--", ":"), bundle, strict=False):
            axes.plot(across, up, color=COLOURS[number % len(COLOURS)], linestyle=style, label=f"{name}, {part}")
    if log_y:
        axes.set_yscale("log")
    _save(figure, axes, path, x, y)


def _in_order(methods: Sequence[str]) -> list[str]:
    """Each once; the two that are compared have the same colours in every picture."""
    return list(dict.fromkeys(["DTI", "TI", *methods]))


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _draw(axes: Any, curves: Sequence[Curve], methods: Sequence[str]) -> None:
    drawn: Counter[str] = Counter()
    for curve in curves:
        if not curve.points:
            continue
        across, up = [point.x for point in curve.points], [point.y for point in curve.points]
        dashes = DASHES[drawn[curve.method] % len(DASHES)]
        look = _look(methods.index(curve.method))
        axes.plot(across, up, **look, linestyle=dashes, markersize=3.5, linewidth=1, label=curve.name)
        drawn[curve.method] += 1
        for point in {curve.points[0], curve.points[-1]}:
            axes.annotate(point.label, (point.x, point.y), fontsize=6, xytext=(3, 3), textcoords="offset points")


def _figure() -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Any, axes: Any, path: Path, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(fontsize=7, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
