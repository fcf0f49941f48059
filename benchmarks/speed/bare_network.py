"""The floor: the diffusion network alone, forward and backward to its conditioning, on fixed inputs."""

from __future__ import annotations

from collections.abc import Callable

import small_sdxl
import torch

TOKENS = 77


def bare_network(unet: torch.nn.Module, batch_size: int, microbatch_size: int) -> Callable[[], None]:
    """What no training of a word can leave out. unet: the host's, with ordinary frozen weights."""
    generator = torch.Generator().manual_seed(0)
    edge = small_sdxl.IMAGE_SIZE // 8
    latents = torch.randn((batch_size, small_sdxl.LATENT_CHANNELS, edge, edge), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.randint(1000, (batch_size,), generator=generator).float()
    context = torch.randn((batch_size, TOKENS, small_sdxl.UNET["context_dim"]), generator=generator)
    y = torch.randn((batch_size, small_sdxl.UNET["adm_in_channels"]), generator=generator)

    def run() -> None:
        for rows in torch.split(torch.arange(batch_size), microbatch_size or batch_size):
            given = {"context": context[rows].requires_grad_(), "y": y[rows].requires_grad_()}
            predicted = unet(latents[rows], timesteps[rows], transformer_options={}, **given)
            (predicted - noise[rows]).square().mean().backward()

    return run
