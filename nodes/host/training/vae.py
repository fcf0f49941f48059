"""Images through the host's VAE, once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ....dti_core.training.data import TrainingImage
from ....dti_core.training.masks import BACKGROUND_WEIGHT, check_masks, loss_weights
from ....dti_core.training.pixels import check_pixels, resize_short_side, with_mirrored

if TYPE_CHECKING:
    from comfy.sd import VAE

log = logging.getLogger(__name__)


def encode_images(
    vae: VAE,
    pictures: Sequence[Tensor],
    resolution: int,
    captions: Sequence[tuple[str, ...]],
    masks: Sequence[Tensor] = (),
    background_weight: float = BACKGROUND_WEIGHT,
    mirror: bool = False,
) -> list[TrainingImage]:
    """Bring images (`[H, W, 3]` in [0, 1], any sizes) to training size and encode each once.

    masks: one for each image, `[H, W]`, 1 on the subject; or none. background_weight: of the loss outside them.
    mirror: whether mirrored images, encoded too, follow behind.

    Raises ValueError for what is not an image or its mask.
    """
    for number, picture in enumerate(pictures, start=1):
        check_pixels(picture, f"image {number} of {len(pictures)}")
    check_masks(masks, pictures, background_weight)
    if mirror:
        pictures, masks, captions = with_mirrored(pictures), with_mirrored(masks), [*captions, *captions]
    images = [
        _encode(vae, resize_short_side(picture, resolution), (picture.shape[0], picture.shape[1]), texts)
        for picture, texts in zip(pictures, captions, strict=True)
    ]
    if not masks:
        return images
    with torch.inference_mode(False):
        return [
            replace(image, weights=loss_weights(mask, (image.mean.shape[1], image.mean.shape[2]), background_weight))
            for image, mask in zip(images, masks, strict=True)
        ]


def _encode(vae: VAE, pixels: Tensor, original_size: tuple[int, int], captions: tuple[str, ...]) -> TrainingImage:
    """Encode one image to the VAE's posterior.

    `vae.encode` returns a point; the mean and the deviation behind it are read where they enter the
    autoencoder's regularizer. An autoencoder without one, such as TAESD, has no deviation.
    """
    moments: list[Tensor] = []
    latents = _encode_with(vae, pixels, lambda module, args, output: moments.append(args[0]))
    with torch.inference_mode(False):
        mean, std = latents[0].float().cpu().clone(), torch.zeros(latents.shape[1:])
    if moments and moments[0].shape[1] == 2 * mean.shape[0]:
        if len(moments) == 1:
            deviation = _deviation(moments[0])
        else:
            # The host ran out of memory and went over the image in tiles. It puts deviations together as latents.
            log.info("DTI: an image of %d x %d is encoded in tiles, as memory is short.", *pixels.shape[:2])
            deviation = _encode_with(vae, pixels, lambda module, args, output: (_deviation(args[0]), *output[1:]))
        with torch.inference_mode(False):
            std = deviation[0].float().cpu().clone()
    scale = pixels.shape[0] // mean.shape[-2]
    return TrainingImage(mean, std, original_size, captions, scale)


def _encode_with(vae: VAE, pixels: Tensor, hook: Callable[..., Any]) -> Tensor:
    """Encode while `hook` follows the regularizer; what it returns takes the place of the regularizer's result."""
    handle = getattr(vae.first_stage_model, "regularization", torch.nn.Identity()).register_forward_hook(hook)
    try:
        latents: Tensor = vae.encode(pixels.unsqueeze(0))
        return latents
    finally:
        handle.remove()


def _deviation(moments: Tensor) -> Tensor:
    """Of a diagonal Gaussian whose mean and log variance are stacked along the channels."""
    return (0.5 * moments.chunk(2, dim=1)[1].float().clamp(-30.0, 20.0)).exp()
