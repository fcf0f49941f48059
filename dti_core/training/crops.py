"""Which part of an image training sees: the shape of its crops, and the size it is brought to for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

SHAPES = ("square", "keep aspect")
# SDXL was trained on sides that are multiples of it.
STEP = 64
# Long side to short side of a crop; the rest of a longer image is cut off.
MOST_OBLONG = 2.0
MOST_ROOM = 0.5


@dataclass(frozen=True)
class Crop:
    """How images are cropped.

    resolution: edge of a square in pixels. Other crops have its area or a little less, so that none takes more memory.
    shape: one of SHAPES: the largest square, or the shape nearest to the image's own of those in steps of STEP.
    room: share of each side that crops leave out, wherever they are drawn; 0 for the largest crop.
    """

    resolution: int
    shape: str = SHAPES[0]
    room: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"crop is {self.shape!r}; choose {' or '.join(map(repr, SHAPES))}.")
        if not 0 <= self.room <= MOST_ROOM:
            raise ValueError(
                f"random_crop is {self.room}; it goes from 0 (crops show as much of an image as they can) to "
                f"{MOST_ROOM} (half of each side)."
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the crops of an image of that size, all in pixels."""
        square = (self.resolution, self.resolution)
        if self.shape == SHAPES[0]:
            return square
        wanted = math.log(height / width)
        return min([square, *self._oblong()], key=lambda size: abs(math.log(size[0] / size[1]) - wanted))

    def resized(self, height: int, width: int, multiple: int = 8) -> tuple[int, int]:
        """Height and width to bring an image to, multiples of `multiple`: its crop fits in, with the room around it."""
        crop, factor = self.size(height, width), self.enlargement(height, width)
        sides = zip((height, width), crop, strict=True)
        rows, columns = (max(least, round(side * factor / multiple) * multiple) for side, least in sides)
        return rows, columns

    def window(self, height: int, width: int, scale: int) -> tuple[int, int] | None:
        """For `TrainingImage.window`, where a latent is `scale` pixels wide."""
        if self.shape == SHAPES[0] and not self.room:
            return None
        rows, columns = self.size(height, width)
        return rows // scale, columns // scale

    def enlargement(self, height: int, width: int) -> float:
        """What an image's sides are multiplied by; above 1 its pixels do not suffice."""
        rows, columns = self.size(height, width)
        return max(rows / height, columns / width) / (1 - self.room)

    def in_use(self) -> dict[str, str]:
        """What is not usual, by the names that a user gives it."""
        named = {"crop": (self.shape, SHAPES[0]), "random_crop": (self.room, 0.0)}
        return {name: str(value) for name, (value, usual) in named.items() if value != usual}

    def _oblong(self) -> list[tuple[int, int]]:
        """Height and width of the crops that are no squares, each as long as the area allows."""
        shorts = range(STEP, self.resolution, STEP)
        sides = [(short, self.resolution**2 // short // STEP * STEP) for short in shorts]
        shapes = [(short, long) for short, long in sides if short < long <= MOST_OBLONG * short]
        return [*shapes, *((long, short) for short, long in shapes)]
