"""What of each image a square crop may show, small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...dti_core.training.crops import Crop
from ...dti_core.training.pixels import resize

EDGE = 256


def thumbnails(pictures: Sequence[Tensor]) -> Tensor:
    """The middle square of each image `[H, W, 3]`, as `[n, EDGE, EDGE, 3]`: training crops along the long side."""
    return torch.stack([_middle(picture) for picture in pictures])


def _middle(picture: Tensor) -> Tensor:
    small = resize(picture, Crop(EDGE).resized(*picture.shape[:2]))
    top, left = ((edge - EDGE) // 2 for edge in small.shape[:2])
    return small[top : top + EDGE, left : left + EDGE]
