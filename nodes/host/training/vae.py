"""Pictures through the host's VAE, once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ....dti_core.training.data import TrainingImage
from ....dti_core.training.pixels import check_pixels, resize_short_side


def encode_images(
    vae, pictures: Sequence[Tensor], resolution: int, captions: Sequence[tuple[str, ...]]
) -> list[TrainingImage]:
    """Bring pictures (`[H, W, 3]` in [0, 1], any sizes) to training size and encode each once.

    Raises ValueError for what is not a picture.
    """
    for number, picture in enumerate(pictures, start=1):
        check_pixels(picture, f"picture {number} of {len(pictures)}")
    return [
        _encode(vae, resize_short_side(picture, resolution), tuple(picture.shape[:2]), texts)
        for picture, texts in zip(pictures, captions, strict=True)
    ]


def _encode(vae, pixels: Tensor, original_size: tuple[int, int], captions: tuple[str, ...]) -> TrainingImage:
    """Encode one picture to the VAE's posterior.

    `vae.encode` returns a point; the mean and the deviation behind it are read where they enter the
    autoencoder's regularizer. An autoencoder without one, such as TAESD, has no deviation.
    """
    moments: list[Tensor] = []
    regularizer = getattr(vae.first_stage_model, "regularization", torch.nn.Identity())
    hook = regularizer.register_forward_hook(lambda module, args, output: moments.append(args[0]))
    try:
        latents = vae.encode(pixels.unsqueeze(0))
    finally:
        hook.remove()
    with torch.inference_mode(False):
        mean, std = latents[0].float().cpu().clone(), torch.zeros(latents.shape[1:])
        # More than one pass means that the host ran out of memory and went over the picture in tiles.
        if len(moments) == 1 and moments[0].shape[1] == 2 * mean.shape[0]:
            log_variance = moments[0][0, mean.shape[0] :].float().cpu().clamp(-30.0, 20.0)
            std = (0.5 * log_variance).exp()
    scale = pixels.shape[0] // mean.shape[-2]
    return TrainingImage(mean, std, original_size, captions, scale)
