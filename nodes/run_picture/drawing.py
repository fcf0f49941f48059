"""The picture of a run: previews of its prompts from left to right in time, and curves of loss and angle below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from .curves import draw_curves
from .history import RunHistory

WIDTH = 840
GAP = 8
LARGEST_TILE = 412  # two fill the width
LARGEST_GRID = 880
CURVES_HEIGHT = 260
FONT_SIZE = 15
TEXT = "#404040"


@dataclass(frozen=True, eq=False)
class PreviewColumn:
    """One moment of the run: its label, and an image of each prompt."""

    label: str
    images: Sequence[Image.Image]


def draw_run(
    history: RunHistory, columns: Sequence[PreviewColumn], prompts: Sequence[str], n_columns: int
) -> Image.Image:
    """The picture of a run so far, WIDTH pixels wide.

    n_columns: for how many columns there has to be room, two or more; more are shown where the prompts leave it.
    """
    line = FONT_SIZE + GAP
    tile = min(LARGEST_TILE, LARGEST_GRID // max(1, len(prompts)) - line - GAP)
    shown = spread(columns, max(n_columns, WIDTH // (tile + GAP)))
    # Never wider than half, so that the first one stays in its place when the next comes.
    tile = min(tile, (WIDTH - GAP) // max(2, len(shown)) - GAP)
    row = line + tile + GAP
    grid = line + len(prompts) * row if shown else 0
    picture = Image.new("RGB", (WIDTH, grid + CURVES_HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(FONT_SIZE)
    for number, column in enumerate(shown):
        left = GAP + number * (tile + GAP)
        draw.text((left, GAP), _cut(column.label, font, tile), TEXT, font)
        for index, image in enumerate(column.images):
            picture.paste(image.resize((tile, tile), Image.Resampling.BICUBIC), (left, line + index * row + line))
    for index, prompt in enumerate(prompts if shown else ()):
        draw.text((GAP, line + index * row + GAP // 2), _cut(prompt, font, WIDTH - 2 * GAP), TEXT, font)
    half = (WIDTH // 2, CURVES_HEIGHT)
    angles = {key: _over(history.numbers, values) for key, values in history.angles.items()}
    loss = draw_curves("loss, mean of recent steps", _losses(history), history.steps, half)
    angle = draw_curves(f"degrees from {history.origin}", angles, history.steps, half)
    picture.paste(loss, (0, grid))
    picture.paste(angle, (half[0], grid))
    return picture


def spread(columns: Sequence[PreviewColumn], most: int) -> list[PreviewColumn]:
    """At most `most` of the columns, evenly, with the first and the last."""
    last = len(columns) - 1
    if last < most:
        return list(columns)
    return [columns[round(i * last / (most - 1))] for i in range(most)]


def _losses(history: RunHistory) -> dict[str, list[tuple[int, float]]]:
    trained = _over(history.numbers, history.smoothed)
    if not history.validations:
        return {"": trained}
    held_out = {f"held out {name}".strip(): _over(one.steps, one.losses) for name, one in history.validations.items()}
    return {"training": trained, **held_out}


def _over(steps: Sequence[int], values: Sequence[float]) -> list[tuple[int, float]]:
    return list(zip(steps, values, strict=True))


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The beginning of a text that fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
