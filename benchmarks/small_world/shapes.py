"""Outlines of the things the world can draw, as polygons on [-1, 1]^2 (y points down)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

Polygon = list[tuple[float, float]]
Part = tuple[Polygon, int]  # points, and 1 to fill or 0 to cut out

SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "flower", "fish")

# How high the top of each shape is, for a hat.
TOP: dict[str, tuple[float, float]] = {
    "heart": (0.0, -0.5), "fish": (-0.3, -0.52), "square": (0.0, -0.8), "flower": (0.0, -0.9),
}  # fmt: skip


def _arc(cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Polygon:
    angles = np.deg2rad(np.linspace(start, end, 49))
    return [(float(cx + rx * np.cos(a)), float(cy + ry * np.sin(a))) for a in angles]


def _spikes(count: int, inner: float, turn: float = -90) -> Polygon:
    points = []
    for index in range(2 * count):
        radius = 1.0 if index % 2 == 0 else inner
        angle = np.deg2rad(turn + 180 * index / count)
        points.append((float(radius * np.cos(angle)), float(radius * np.sin(angle))))
    return points


def _rect(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _heart() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 61)
    x = 16 * np.sin(t) ** 3 / 17
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17
    return list(zip(x.tolist(), (y - 0.12).tolist(), strict=True))


@cache
def parts(shape: str) -> Sequence[Part]:
    """The polygons of a shape, in drawing order; a zero cuts a hole into what came before."""
    if shape == "circle":
        return [(_arc(0, 0, 0.93, 0.93), 1)]
    if shape == "square":
        return [(_rect(-0.82, -0.82, 0.82, 0.82), 1)]
    if shape == "triangle":
        return [([(0, -0.95), (0.98, 0.8), (-0.98, 0.8)], 1)]
    if shape == "star":
        return [(_spikes(5, 0.45), 1)]
    if shape == "heart":
        return [(_heart(), 1)]
    if shape == "ring":
        return [(_arc(0, 0, 0.97, 0.97), 1), (_arc(0, 0, 0.45, 0.45), 0)]
    if shape == "flower":
        petals = [(0.58 * np.cos(a), 0.58 * np.sin(a)) for a in np.deg2rad(np.arange(-90, 270, 72))]
        return [*[(_arc(x, y, 0.42, 0.42), 1) for x, y in petals], (_arc(0, 0, 0.4, 0.4), 1)]
    if shape == "fish":
        return [(_arc(-0.2, 0, 0.78, 0.55), 1), ([(0.35, 0), (0.98, -0.55), (0.98, 0.55)], 1)]
    raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")
