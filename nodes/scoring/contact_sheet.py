"""Images of all embeddings that were scored: a column each, the class word's first, and a row for each prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

GAP = 6
FONT_SIZE = 13
TEXT, CHOSEN = "#404040", "#D55E00"
MOST_ROWS = 12


def draw_sheet(
    columns: Sequence[Sequence[Tensor]], labels: Sequence[str], prompts: Sequence[str], chosen: int
) -> Tensor:
    """An image `[H, W, 3]` in [0, 1] of thumbnails `[h, w, 3]`, all of one size, a column for each label.

    chosen: which column is marked. Of many prompts, MOST_ROWS from all over are shown.
    """
    shown = [number * len(prompts) // MOST_ROWS for number in range(MOST_ROWS)]
    shown = shown if len(prompts) > MOST_ROWS else list(range(len(prompts)))
    height, width = columns[0][0].shape[:2]
    line = FONT_SIZE + GAP
    row = line + height + GAP
    sheet = Image.new("RGB", (GAP + len(columns) * (width + GAP), line + GAP + len(shown) * row), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for number, (label, column) in enumerate(zip(labels, columns, strict=True)):
        left, is_chosen = GAP + number * (width + GAP), number == chosen
        draw.text((left, GAP // 2), _ending(label, font, width), CHOSEN if is_chosen else TEXT, font)
        for place, prompt in enumerate(shown):
            top = line + GAP + place * row + line
            sheet.paste(_image(column[prompt]), (left, top))
            if is_chosen:
                draw.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), outline=CHOSEN, width=2)
    for place, prompt in enumerate(shown):
        draw.text((GAP, line + GAP + place * row), _beginning(prompts[prompt], font, sheet.width - 2 * GAP), TEXT, font)
    return torch.from_numpy(np.asarray(sheet).astype(np.float32) / 255)


def _image(thumbnail: Tensor) -> Image.Image:
    return Image.fromarray((thumbnail.numpy().clip(0, 1) * 255).round().astype(np.uint8))


def _beginning(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


def _ending(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Of names the end, which tells steps apart."""
    while text and font.getlength(text) > width:
        text = text[1:]
    return text
