"""Outlines of the things the world can draw, as polygons on [-1, 1]^2 (y points down)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

Polygon = list[tuple[float, float]]
Part = tuple[Polygon, int]  # points, and 1 to fill or 0 to cut out

SHAPES = (
    "circle", "square", "triangle", "star", "heart", "ring",
    "moon", "flower", "cloud", "fish", "house", "tree", "mushroom", "cat",
)  # fmt: skip

# Where the middle of each shape is (for a spot or a bow), and how high its top (for a hat or a crown).
MIDDLE: dict[str, tuple[float, float]] = {
    "triangle": (0.0, 0.3), "heart": (0.0, -0.15), "moon": (-0.45, 0.0), "fish": (-0.35, -0.05),
    "house": (0.0, 0.25), "tree": (0.0, 0.05), "mushroom": (0.0, -0.3), "cloud": (0.0, 0.15),
    "cat": (0.0, 0.1), "star": (0.0, 0.05),
}  # fmt: skip
TOP: dict[str, tuple[float, float]] = {
    "heart": (0.0, -0.5), "moon": (-0.2, -0.9), "fish": (-0.3, -0.55), "cloud": (-0.05, -0.65),
    "square": (0.0, -0.82), "cat": (0.0, -0.6), "mushroom": (0.0, -0.85), "flower": (0.0, -0.9),
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
    if shape == "moon":
        return [(_arc(0, 0, 0.97, 0.97), 1), (_arc(0.5, 0, 0.72, 0.72), 0)]
    if shape == "flower":
        petals = [(0.58 * np.cos(a), 0.58 * np.sin(a)) for a in np.deg2rad(np.arange(-90, 270, 72))]
        return [*[(_arc(x, y, 0.42, 0.42), 1) for x, y in petals], (_arc(0, 0, 0.4, 0.4), 1)]
    if shape == "cloud":
        bumps = [(-0.55, 0.15, 0.42), (-0.1, -0.2, 0.48), (0.4, -0.02, 0.42), (0.7, 0.25, 0.28)]
        return [*[(_arc(x, y, r, r), 1) for x, y, r in bumps], (_rect(-0.55, 0.1, 0.7, 0.55), 1)]
    if shape == "fish":
        return [(_arc(-0.2, 0, 0.78, 0.55), 1), ([(0.35, 0), (0.98, -0.55), (0.98, 0.55)], 1)]
    if shape == "house":
        return [(_rect(-0.68, -0.15, 0.68, 0.9), 1), ([(0, -0.98), (0.98, -0.1), (-0.98, -0.1)], 1)]
    if shape == "tree":
        tiers = [(-0.95, 0.0, 0.5), (-0.55, 0.4, 0.68), (-0.1, 0.7, 0.82)]
        crown: list[Part] = [([(0, top), (half, low), (-half, low)], 1) for top, low, half in tiers]
        return [*crown, (_rect(-0.16, 0.6, 0.16, 0.98), 1)]
    if shape == "mushroom":
        cap = [*_arc(0, 0.0, 0.95, 0.85, 180, 360), (0.95, 0.12), (-0.95, 0.12)]
        return [(cap, 1), (_rect(-0.32, 0.0, 0.32, 0.92), 1)]
    if shape == "cat":
        ears: list[Part] = [([(s * 0.88, -0.95), (s * 0.84, 0.0), (s * 0.2, -0.5)], 1) for s in (-1, 1)]
        return [(_arc(0, 0.12, 0.88, 0.76), 1), *ears]
    raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")
