"""Latents to small images without the VAE, in the two ways of the host's own previews."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import folder_paths
import torch
from comfy.taesd.taesd import TAESD
from torch import Tensor

log = logging.getLogger(__name__)

# The host's description of a model family's latents.
LatentFormat = Any


def latent_decoder(latent_format: LatentFormat, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What turns a latent `[C, h, w]`, as the network sees it, into an image `[H, W, 3]` in [0, 1] on the CPU.

    TAESD where its file is in models/vae_approx, as for the host's previews; else one pixel for each latent, by the
    colours that the host knows for the family. Raises ValueError where it knows none.
    """
    taesd = _taesd(latent_format)
    if taesd is not None:
        taesd = taesd.to(device).requires_grad_(False)
        return lambda latent: _pixels(taesd.decode(latent[None].to(device))[0].movedim(0, -1))
    if latent_format.latent_rgb_factors is None:
        raise ValueError("ComfyUI has no preview colours for latents of this model")
    factors = torch.tensor(latent_format.latent_rgb_factors)
    bias = latent_format.latent_rgb_factors_bias
    offset = torch.zeros(3) if bias is None else torch.tensor(bias)
    reshape = getattr(latent_format, "latent_rgb_factors_reshape", None) or (lambda latents: latents)
    return lambda latent: _pixels(reshape(latent[None].float().cpu())[0].movedim(0, -1) @ factors + offset)


def _taesd(latent_format: LatentFormat) -> TAESD | None:
    name = latent_format.taesd_decoder_name
    files = [file for file in folder_paths.get_filename_list("vae_approx") if name and file.startswith(name)]
    if not files:
        return None
    try:
        path = folder_paths.get_full_path("vae_approx", files[0])
        return TAESD(None, path, latent_channels=latent_format.latent_channels)
    except Exception as error:  # a file of another kind, or a broken one: there are colours still
        log.warning("DTI: %s cannot be used for previews: %s", files[0], error)
        return None


def _pixels(values: Tensor) -> Tensor:
    """From [-1, 1]; black where a network in half precision has overflown."""
    return ((values.float() + 1) / 2).nan_to_num(0.0).clamp(0, 1).cpu()
