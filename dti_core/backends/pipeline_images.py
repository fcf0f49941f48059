"""Images as a pipeline's autoencoder sees them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..training.crops import SHAPES, Crop
from ..training.data import TrainingImage
from ..training.masks import BACKGROUND_WEIGHT, check_masks, loss_weights
from ..training.pixels import check_pixels, resize, with_mirrored
from .pipeline_models import in_float32

log = logging.getLogger(__name__)


def encode_images(
    pipe: Any,
    images: Sequence[Tensor],
    resolution: int,
    captions: Sequence[tuple[str, ...]],
    masks: Sequence[Tensor] = (),
    background_weight: float = BACKGROUND_WEIGHT,
    mirror: bool = False,
    crop: str = SHAPES[0],
    random_crop: float = 0.0,
) -> list[TrainingImage]:
    """Bring images (`[H, W, 3]` in [0, 1], any sizes) to the size for their crops and encode each once, in float32.

    pipe: a pipeline of diffusers. Its autoencoder gives a posterior (SDXL), or latents alone: one without deviation.
    masks: one for each image, `[H, W]`, 1 on the subject; or none. background_weight: of the loss outside them.
    mirror: whether mirrored images, encoded too, follow behind. crop, random_crop: shape and room of `Crop`.

    Raises ValueError for what is not an image or its mask, and for a resolution that the autoencoder cannot divide.
    """
    scale = pipe.vae_scale_factor
    if resolution <= 0 or resolution % scale:
        raise ValueError(f"resolution is {resolution}; it has to be a multiple of {scale}, such as {scale * 24}.")
    cropped = Crop(resolution, crop, random_crop)
    for number, image in enumerate(images, start=1):
        check_pixels(image, f"image {number} of {len(images)}")
        height, width = image.shape[:2]
        if (factor := cropped.enlargement(height, width)) > 1:
            log.warning("Image %d is %d x %d pixels and is enlarged %.2f times.", number, width, height, factor)
    check_masks(masks, images, background_weight)
    if mirror:
        images, masks, captions = with_mirrored(images), with_mirrored(masks), [*captions, *captions]
    encoded = []
    with torch.no_grad(), in_float32(pipe.vae):
        for number, (image, texts) in enumerate(zip(images, captions, strict=True)):
            height, width = image.shape[:2]
            pixels = resize(image, cropped.resized(height, width, scale)).movedim(-1, 0).unsqueeze(0)
            mean, std = _posterior(pipe.vae, 2 * pixels - 1)
            size = (mean.shape[1], mean.shape[2])
            weights = loss_weights(masks[number], size, background_weight) if masks else None
            window = cropped.window(height, width, scale)
            encoded.append(TrainingImage(mean, std, (height, width), texts, scale, weights, window))
    return encoded


def _posterior(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latents, `[C, h, w]` on the CPU, of pixels `[1, 3, H, W]` in [-1, 1]."""
    output = vae.encode(pixels.to(vae.device))
    if hasattr(output, "latent_dist"):
        return output.latent_dist.mean[0].cpu(), output.latent_dist.std[0].cpu()
    latents = output.latent[0].cpu()
    return latents, torch.zeros_like(latents)
