"""What is odd about the images of a run, before it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from ..dti_core.training.crops import Crop

# In steps of 8-bit pixels: what JPEG does to one colour, and to an image saved twice.
FLAT = 3 / 255
SAME = 6 / 255
GRID = 32
WHOLE = 0.99
MOST_ENLARGED = 1.5


def picture_notes(pictures: Sequence[Tensor], crop: Crop) -> list[str]:
    """A sentence for each fault of images `[H, W, 3]` in [0, 1] that are cropped in this way."""
    notes, enlarged = [], []
    grids = [_grid(picture) for picture in pictures]
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.shape[:2]
        if _spread(picture) <= FLAT:
            notes.append(f"Image {number} is one colour throughout: there is nothing in it to train on.")
        factor = crop.enlargement(height, width)
        if factor > MOST_ENLARGED:
            notes.append(
                f"Image {number} is {width} x {height} pixels and is enlarged {factor:.1f} times to the resolution "
                f"{crop.resolution}: its blur is trained as well. Take a larger image or a lower resolution."
            )
        elif factor > 1:
            enlarged.append(f"image {number} ({width} x {height} pixels, {factor:.2f} times)")
    if enlarged:
        notes.append(f"Enlarged to the resolution {crop.resolution}: {', '.join(enlarged)}.")
    for (first, grid), (second, other) in combinations(enumerate(grids, start=1), 2):
        if float((grid - other).abs().max()) <= SAME:
            notes.append(f"Images {first} and {second} are the same: it counts twice. Take one of them out.")
    return notes


def mask_notes(pictures: Sequence[Tensor], masks: Sequence[Tensor]) -> list[str]:
    """A sentence for each mask `[H, W]`, 1 on the subject of its image, that cannot be meant so."""
    notes = []
    for number, (picture, mask) in enumerate(zip(pictures, masks, strict=False), start=1):
        chosen = picture[mask.to(picture.device) > 0.5]
        if len(chosen) and float((chosen.amax(0) - chosen.amin(0)).max()) <= FLAT < _spread(picture):
            notes.append(
                f"What mask {number} marks as the subject is one colour: is it the background? Then put Invert Mask "
                "behind the masks."
            )
    if masks and all(float(mask.float().mean()) > WHOLE for mask in masks):
        notes.append("The masks mark all of each image as the subject, so they change nothing.")
    return notes


def _spread(picture: Tensor) -> float:
    """Between the least and the most of any channel."""
    return float((picture.amax((0, 1)) - picture.amin((0, 1))).max())


def _grid(picture: Tensor) -> Tensor:
    """Mean colours of a coarse grid, which the same image shares in any size, `[3, GRID, GRID]`."""
    return torch.nn.functional.adaptive_avg_pool2d(picture.float().movedim(-1, 0), GRID)
