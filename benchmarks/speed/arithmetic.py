"""Floating-point operations of the parts of a step: what the small world's ratios would be at full size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from dti_pack.dti_core.captions import OBJECT_TEMPLATES
from dti_pack.nodes.host.session import training_session
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from benchmarks.full_size_sdxl import VAE
from benchmarks.memory.card import CARD, full_size_sdxl
from benchmarks.speed.world import RESOLUTION, World

IMAGES = 4
# The counter knows attention by the kernels of GPUs.
ATTENTION_ON_A_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *rest, **named: sdpa_flop(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda gradient, q, k, v, *rest, **named: sdpa_backward_flop(gradient, q, k, v)
    ),
}


@dataclass(frozen=True)
class Operations:
    """Of a step of four images and four captions, forward and backward; of the VAE, four images forward."""

    network: int
    text: int
    vae: int


def full_size(edge: int) -> Operations:
    """SDXL's own, with images of `edge` pixels; nothing is computed."""
    with full_size_sdxl() as (model, clip):
        network, text = _of_a_step(model, clip, edge, CARD)
        with torch.device(CARD):
            vae = AutoencoderKL(ddconfig=VAE, embed_dim=4).requires_grad_(False)
            pixels = torch.zeros(IMAGES, 3, edge, edge)
        return Operations(network, text, _counted(lambda: vae.encode(pixels)))


def small_world(world: World) -> Operations:
    """The same of the models that the other parts time."""
    network, text = _of_a_step(world.model, world.clip, RESOLUTION, torch.device("cpu"))
    pixels = torch.zeros(IMAGES, 3, RESOLUTION, RESOLUTION)
    return Operations(network, text, _counted(lambda: world.vae.first_stage_model.encode(pixels)))


def _of_a_step(model, clip, edge: int, device: torch.device) -> tuple[int, int]:
    with torch.inference_mode(), training_session(model, clip) as (text_encoder, denoiser):
        vectors = {
            key: torch.full((1, v.dim), 0.1, device=device, requires_grad=True)
            for key, v in text_encoder.vocabularies.items()
        }
        size = (IMAGES, 4, edge // 8, edge // 8)
        latents, noise = torch.zeros(size, device=device), torch.zeros(size, device=device)
        sigma = torch.ones(IMAGES, device=device)
        framing = torch.tensor([[edge, edge, 0, 0, edge, edge]] * IMAGES, device="cpu")
        encoded = []

        def text() -> None:
            conditioning = text_encoder.encode(OBJECT_TEMPLATES[:IMAGES], vectors)
            encoded.append(conditioning.detached())
            conditioning.backward(encoded[0], 1.0)

        def network() -> None:
            denoiser.loss(latents, encoded[0], sigma, noise, framing).sum().backward()

        operations = _counted(text)
        return _counted(network), operations


def _counted(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_A_CPU) as counter:
        work()
    return counter.get_total_flops()
