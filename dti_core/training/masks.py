"""What of an image the loss looks at: masks, 1 on the subject and 0 outside, and the weights made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# OneTrainer's default too.
BACKGROUND_WEIGHT = 0.1
# Half a step of 8 bits: what is not above it is 0.
EMPTY = 0.5 / 255


def check_masks(masks: Sequence[Tensor], pictures: Sequence[Tensor], background_weight: float) -> None:
    """Raise ValueError unless there is a mask `[H, W]` in [0, 1] for each image `[H, W, 3]`, or there are none."""
    if not 0 <= background_weight <= 1:
        raise ValueError(
            f"background_weight is {background_weight}; it goes from 0 (nothing outside the masks is trained on) to 1 "
            "(as if there were no masks)."
        )
    if len(masks) not in (0, len(pictures)):
        raise ValueError(
            f"got {len(masks)} masks for {len(pictures)} images; give one for each image, in the same order, or none."
        )
    for number, (mask, picture) in enumerate(zip(masks, pictures, strict=False), start=1):
        _check(mask, picture, number)


def loss_weights(mask: Tensor, size: tuple[int, int], background_weight: float) -> Tensor:
    """Weights of an image's latents, float32 `[h, w]` of that size: 1 on the subject, `background_weight` outside.

    A latent that holds the edge of the mask (`[H, W]`) has the mean of its pixels.
    """
    share = torch.nn.functional.adaptive_avg_pool2d(mask.float().cpu()[None], size)[0].clamp(0.0, 1.0)
    return background_weight + (1 - background_weight) * share


def subject_crops(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Which crops of that size show an image's subject, bool `[n_tops, n_lefts]`: at least half as much as the best.

    The others would put the weight of a whole image on its background. weights: of `loss_weights`.
    """
    subject = weights - weights.min()
    shown = torch.nn.functional.avg_pool2d(subject[None], size, stride=1)[0]
    return shown >= shown.max() / 2


def _check(mask: Tensor, picture: Tensor, number: int) -> None:
    if mask.ndim != 2:
        raise ValueError(f"mask {number} has the shape {tuple(mask.shape)}; a mask is [height, width].")
    if not torch.isfinite(mask).all():
        raise ValueError(f"mask {number} holds values that are not numbers (NaN or infinite). Load or make it again.")
    least, most = float(mask.min()), float(mask.max())
    if least < -EMPTY or most > 1 + EMPTY:
        raise ValueError(f"mask {number} holds values from {least:g} to {most:g}; a mask goes from 0 to 1.")
    if most <= EMPTY:
        raise ValueError(
            f"mask {number} is 0 everywhere: nothing of image {number} is marked as the subject. A mask is 1 on the "
            "subject; those of Load Image and Load Concept Images are 1 where an image is transparent, so put Invert "
            "Mask behind them for cut-outs. For images without masks connect none."
        )
    if mask.shape != picture.shape[:2]:
        (height, width), (rows, columns) = picture.shape[:2], mask.shape
        raise ValueError(
            f"mask {number} is {columns} x {rows} and image {number} is {width} x {height} pixels; scale or crop the "
            "mask with its image."
        )
