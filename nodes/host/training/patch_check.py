"""Whether a MODEL can be trained through what nodes have put into it, tried out before training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ....dti_core.training.backend import Conditioning
from .denoiser import HostDenoiser
from .model_patches import Patch, network_patches, shortcuts

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

log = logging.getLogger(__name__)

NOISE_LEVELS = (0.999, 0.5, 0.1)  # a patch may work on some of them only
EDGE = 32  # of the latents that are tried


def check_patches(patcher: ModelPatcher, conditioning: Conditioning) -> None:
    """Raise ValueError, by name, where something in the network has no right gradient. Call inside `differentiable`.

    patcher: a loaded ModelPatcher. conditioning: of one row.
    """
    if left_out := shortcuts(patcher):
        log.warning("DTI: trains without %s, which would only make sampling faster.", " and ".join(left_out))
    patches = network_patches(patcher)
    error = _failure(patcher, patches, conditioning)
    if error is None:
        return
    owners = list(dict.fromkeys(patch.owner for patch in patches))
    alone = {owner: [patch for patch in patches if patch.owner == owner] for owner in owners}
    failing = [owner for owner, own in alone.items() if _failure(patcher, own, conditioning) is not None]
    raise ValueError(
        f"This model was changed by {' and '.join(failing or owners)}, and training cannot pass through that "
        f"({type(error).__name__}: {error}). Connect DTI Train's model from before that node; the embedding can be "
        "used behind it."
    ) from error


def _failure(patcher: ModelPatcher, patches: Sequence[Patch], conditioning: Conditioning) -> Exception | None:
    """What goes wrong when passes with these patches are differentiated."""
    if not patches:
        return None
    denoiser = HostDenoiser(patcher, patches)
    for u in NOISE_LEVELS:
        try:
            # Half precision may need the one scale or the other.
            gradients = [_gradient(denoiser, conditioning, u, scale) for scale in {denoiser.loss_scale, 1.0}]
        except comfy.model_management.InterruptProcessingException:  # an Exception in older hosts
            raise
        except Exception as error:
            return error
        if not any(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            return ArithmeticError("gradients are not finite")
        if not any(bool(gradient.any()) for gradient in gradients):
            return ArithmeticError("no gradient reaches the text")
    return None


def _gradient(denoiser: HostDenoiser, conditioning: Conditioning, u: float, scale: float) -> Tensor:
    """The text's gradient of the loss on an empty image."""
    leaf, sigma = conditioning.detached(), denoiser.sigmas(torch.tensor([u])).to(denoiser.device)
    shape = (1, denoiser.latent_channels, EDGE, EDGE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(denoiser.device)
    framing = torch.tensor([[8 * EDGE, 8 * EDGE, 0, 0, 8 * EDGE, 8 * EDGE]])
    torch.autograd.backward(denoiser.loss(torch.zeros_like(noise), leaf, sigma, noise, framing).sum() * scale)
    return torch.zeros(1) if leaf.context.grad is None else leaf.context.grad
