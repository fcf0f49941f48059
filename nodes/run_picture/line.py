"""A line of text in the place of a run's picture."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .drawing import FONT_SIZE, GAP, TEXT, WIDTH


def draw_line(text: str) -> Tensor:
    """`[1, H, W, 3]` in [0, 1], as wide as the picture of a run; a text that is longer is cut off."""
    picture = Image.new("RGB", (WIDTH, FONT_SIZE + 3 * GAP), "white")
    ImageDraw.Draw(picture).text((GAP, GAP), text, TEXT, ImageFont.load_default(FONT_SIZE))
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None]
