"""The training error of a diffusion network, read off its denoised prediction.

The host hands out the denoised prediction D whatever the network itself predicts. Turning D back into the
network's own error keeps the checkpoint's objective (paper eq. 4) for every family with one adapter.
"""

from __future__ import annotations

import torch
from torch import Tensor


def noise_error(denoised: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
    """Error of an eps network, or of a flow network's velocity.

    With `x_t = x0 + sigma * noise` (eps) this is `eps_predicted - noise`; with
    `x_t = sigma * noise + (1 - sigma) * x0` (flow) it is `v_predicted - (noise - x0)`. Both are
    `(x_t - D) / sigma - (x_t - x0) / sigma`.

    Args:
        denoised: D, `[B, C, H, W]`, in the model's latent space.
        x0: clean latents, `[B, C, H, W]`.
        sigma: noise levels, `[B]`, all above zero.

    Returns:
        float32 `[B, C, H, W]`.
    """
    return (x0.float() - denoised.float()) / _column(sigma)


def velocity_error(denoised: Tensor, x0: Tensor, sigma: Tensor, sigma_data: float = 1.0) -> Tensor:
    """Error of a v-prediction network, zero terminal SNR included (Salimans and Ho 2022, eq. 12).

    The network enters D with the factor `sigma * sigma_data / sqrt(sigma^2 + sigma_data^2)`, in EDM's
    preconditioning (Karras et al. 2022, table 1) as in v-prediction; dividing by it leaves the
    network's own error, up to its sign. Arguments and result as in `noise_error`.
    """
    column = _column(sigma)
    return (x0.float() - denoised.float()) * torch.sqrt(column**2 + sigma_data**2) / (column * sigma_data)


def per_sample_mse(error: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean square over everything but the batch: `[B, C, H, W]` to `[B]`.

    weights: `[B, 1, H, W]`. Each sample is divided by the sum of its own, so that a small subject counts as much as a
    large one.
    """
    if weights is None:
        return error.flatten(1).square().mean(dim=1)
    squares = error.square().mean(dim=1, keepdim=True)
    return (weights * squares).flatten(1).sum(dim=1) / weights.flatten(1).sum(dim=1)


def _column(sigma: Tensor) -> Tensor:
    return sigma.float().reshape(-1, 1, 1, 1)
