"""Curves over the steps of a run, drawn with Pillow: within a run there is no time for more, and it is always there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

from PIL import Image, ImageDraw, ImageFont

from ..palette import COLOURS

# Drawn so many times larger and made smaller again, as Pillow's lines have steps.
FINER = 2
FONT_SIZE = 14 * FINER
LEFT, RIGHT, TOP, BOTTOM = 64 * FINER, 16 * FINER, 56 * FINER, 34 * FINER
N_TICKS = 4
GRID = "#E3E3E3"
TEXT = "#404040"


def draw_curves(
    title: str, curves: Mapping[str, Sequence[tuple[int, float]]], last_step: int, size: tuple[int, int]
) -> Image.Image:
    """An image of `size` with the curves by name, as (step, value); the axis goes from 0 to `last_step`.

    Values that are not finite are left out, and of the names those that there is no room for.
    """
    width, height = size[0] * FINER, size[1] * FINER
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE)
    ticks = _ticks([value for points in curves.values() for _, value in points if math.isfinite(value)])

    def x(step: float) -> float:
        return LEFT + step / last_step * (width - LEFT - RIGHT)

    def y(value: float) -> float:
        return height - BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (height - TOP - BOTTOM)

    draw.text((LEFT, TOP // 3), title, TEXT, font, anchor="lm")
    for tick in ticks:
        draw.line([(x(0), y(tick)), (x(last_step), y(tick))], GRID, FINER)
        draw.text((LEFT - 6 * FINER, y(tick)), f"{tick:.4g}", TEXT, font, anchor="rm")
    for step in (0, last_step):
        draw.text((x(step), height - BOTTOM + FONT_SIZE), str(step), TEXT, font, anchor="mm" if step == 0 else "rm")
    left = LEFT
    for (name, curve), colour in zip(curves.items(), cycle(COLOURS), strict=False):
        points = [(x(step), y(value)) for step, value in curve if math.isfinite(value)]
        if points:
            draw.line(points, colour, 2 * FINER, joint="curve")
            (right, end), radius = points[-1], 3 * FINER  # a single step makes no line
            draw.ellipse((right - radius, end - radius, right + radius, end + radius), colour)
        if name and left + font.getlength(name) <= width:
            draw.text((left, TOP * 2 // 3), name, colour, font, anchor="lm")
            left += round(font.getlength(f"{name}  "))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _ticks(values: Sequence[float]) -> list[float]:
    """About `N_TICKS` round numbers that enclose the values; two at least."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(high - low, abs(high) * 1e-3, 1e-9) / N_TICKS
    power = 10.0 ** math.floor(math.log10(span))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span)
    first = math.floor(low / step)
    return [step * number for number in range(first, max(math.ceil(high / step), first + 1) + 1)]
