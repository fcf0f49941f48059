"""What no training of a concept can leave out: the network alone, and the text encoders alone, on fixed inputs."""

from __future__ import annotations

from collections.abc import Callable

import small_sdxl
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOKENS = 77
VOCABULARY = 49408


def network_alone(unet: torch.nn.Module, batch_size: int, microbatch_size: int) -> Callable[[], None]:
    """Forward, and backward to its conditioning. unet: the host's, with ordinary frozen weights."""
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


def text_encoders_alone(batch_size: int) -> Callable[[], None]:
    """Forward, and backward to the embedded tokens, of all captions at once."""
    encoders = [encoder.requires_grad_(False) for encoder in clip_encoders()]
    for encoder in encoders:
        encoder.get_input_embeddings().register_forward_hook(lambda module, args, output: output.requires_grad_())
    ids = torch.randint(VOCABULARY, (batch_size, TOKENS), generator=torch.Generator().manual_seed(0))

    def run() -> None:
        small, large = (encoder(ids, output_hidden_states=True) for encoder in encoders)
        states = torch.cat([small.hidden_states[-2], large.hidden_states[-2]], dim=-1)
        (states.square().sum() + large.text_embeds.square().sum()).backward()

    return run


def clip_encoders() -> tuple[torch.nn.Module, torch.nn.Module]:
    """The two of transformers, of the small world's sizes, with a table of one row more; their weights are random."""
    kinds = (
        (CLIPTextModel, small_sdxl.CLIP_L_WIDTH, "quick_gelu"),
        (CLIPTextModelWithProjection, small_sdxl.CLIP_G_WIDTH, "gelu"),
    )
    small, large = (
        kind(
            CLIPTextConfig(
                vocab_size=VOCABULARY + 1,
                hidden_act=activation,
                eos_token_id=VOCABULARY - 1,
                **small_sdxl.text_config(width),
            )
        )
        for kind, width, activation in kinds
    )
    return small, large
