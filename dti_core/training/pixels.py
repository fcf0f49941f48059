"""Images as they come in, checked and brought to training size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST_EDGE = 8


def check_pixels(pixels: Tensor, which: str) -> None:
    """Raise ValueError unless `pixels` is an image, `[H, W, 3]` in [0, 1]; `which` names it in the message."""
    shape = tuple(pixels.shape)
    if pixels.ndim != 3 or shape[-1] not in (3, 4):
        raise ValueError(f"{which} has the shape {shape}; an image is [height, width, 3].")
    if shape[-1] == 4:
        raise ValueError(
            f"{which} has an alpha channel. What lies behind it would be trained on too: "
            "put the image onto a background first, or drop the channel."
        )
    if min(shape[:2]) < LEAST_EDGE:
        raise ValueError(f"{which} is {shape[1]} x {shape[0]} pixels; the least is {LEAST_EDGE} x {LEAST_EDGE}.")
    if not torch.isfinite(pixels).all():
        raise ValueError(f"{which} holds values that are not numbers (NaN or infinite). Load or make it again.")


def with_mirrored(planes: Sequence[Tensor]) -> list[Tensor]:
    """Images `[H, W, 3]` or masks `[H, W]`, and behind them all of them with left and right changed over."""
    return [*planes, *(plane.flip(1) for plane in planes)]


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """An image `[H, W, 3]` in [0, 1] at another height and width, float32."""
    planes = pixels.float().movedim(-1, 0).unsqueeze(0)
    resized = torch.nn.functional.interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False)
    return resized[0].movedim(0, -1).clamp(0.0, 1.0).contiguous()
