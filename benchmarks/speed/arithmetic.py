"""Floating-point operations of the parts of a step: what the small world's ratios would be at full size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.nodes.host.training.session import training_session
from torch.utils._python_dispatch import TorchDispatchMode
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
    """Of a step of four images and four captions, forward and backward; of the VAE, four images forward.

    network_cast: bytes read and written by casts in one pass of the network, whatever the images in it. text_cast:
    the same of the text encoders.
    """

    network: int
    text: int
    vae: int
    network_cast: int
    text_cast: int


class _Casts(TorchDispatchMode):
    """Counts the bytes that casts read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].is_floating_point():
            self.bytes += args[0].nbytes + result.nbytes
        return result


def full_size(edge: int) -> Operations:
    """SDXL's own, with images of `edge` pixels; nothing is computed."""
    with full_size_sdxl() as (model, clip):
        network, text, *casts = _of_a_step(model, clip, edge, CARD)
        with torch.device(CARD):
            vae = AutoencoderKL(ddconfig=VAE, embed_dim=4).requires_grad_(False)
            pixels = torch.zeros(IMAGES, 3, edge, edge)
        return Operations(network, text, _counted(lambda: vae.encode(pixels))[0], *casts)


def small_world(world: World) -> Operations:
    """The same of the models that the other parts time."""
    network, text, *casts = _of_a_step(world.model, world.clip, RESOLUTION, torch.device("cpu"))
    pixels = torch.zeros(IMAGES, 3, RESOLUTION, RESOLUTION)
    return Operations(network, text, _counted(lambda: world.vae.first_stage_model.encode(pixels))[0], *casts)


def _of_a_step(model, clip, edge: int, device: torch.device) -> tuple[int, int, int, int]:
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

        text_operations, text_cast = _counted(text)
        network_operations, network_cast = _counted(network)
        return network_operations, text_operations, network_cast, text_cast


def _counted(work: Callable[[], object]) -> tuple[int, int]:
    """Operations, and bytes of casts."""
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_A_CPU) as counter, _Casts() as casts:
        work()
    return counter.get_total_flops(), casts.bytes
