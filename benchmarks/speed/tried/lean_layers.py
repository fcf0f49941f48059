"""Layers of the UNet that keep less for backward and compute nothing but elementwise again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from comfy.ldm.modules.attention import GEGLU
from dti_pack.dti_core.training import train
from dti_pack.nodes.host.training.memory_plan import MemoryPlan
from dti_pack.nodes.host.training.session import training_session
from torch import Tensor

from benchmarks.memory.card import full_size_sdxl
from benchmarks.memory.step import counted_step
from benchmarks.speed.product import config, seconds_per_step
from benchmarks.speed.turns import Timed
from benchmarks.speed.world import World

KINDS = ("convolution", "GEGLU")
VARIANTS: dict[str, tuple[str, ...]] = {"as it is": (), "convolution": KINDS[:1], "GEGLU": KINDS[1:], "both": KINDS}


class _FrozenConvolution(torch.autograd.Function):
    """The gradient for the input of a convolution needs the input's size alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.options = x.shape, options
        return F.conv2d(x, weight, bias, *options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return (torch.nn.grad.conv2d_input(ctx.size, weight, gradient, *ctx.options), *[None] * (2 + len(ctx.options)))


class _GatedGelu(torch.autograd.Function):
    """Keeps what it gets and not gelu(gate) beside it."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor) -> Tensor:
        ctx.save_for_backward(projected)
        x, gate = projected.chunk(2, dim=-1)
        return x * F.gelu(gate)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, gate = ctx.saved_tensors[0].chunk(2, dim=-1)
        return torch.cat([gradient * F.gelu(gate), torch.ops.aten.gelu_backward(gradient * x, gate)], dim=-1)


@contextmanager
def lean_layers(unet: torch.nn.Module, kinds: Collection[str]) -> Iterator[None]:
    """Put them in the place of the host's while the context lasts."""
    changed: list[tuple[torch.nn.Module, str]] = []
    for module in unet.modules():
        if "convolution" in kinds and isinstance(module, torch.nn.Conv2d):
            options = (module.stride, module.padding, module.dilation, module.groups)
            module._conv_forward = partial(_convolve, options=options)
            changed.append((module, "_conv_forward"))
        elif "GEGLU" in kinds and isinstance(module, GEGLU):
            module.forward = partial(_gate, module.proj)
            changed.append((module, "forward"))
    try:
        yield
    finally:
        for module, name in changed:
            delattr(module, name)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[Any, ...]) -> Tensor:
    return _FrozenConvolution.apply(x, weight, bias, *options)


def _gate(project: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return _GatedGelu.apply(project(x))


def peak_at_full_size(kinds: Collection[str], plan: MemoryPlan, edge: int) -> int:
    """Bytes of tensors on the card in a step of SDXL."""
    with full_size_sdxl() as (model, clip), lean_layers(model.model.diffusion_model, kinds):
        return counted_step(model, clip, plan, edge).peak


def timed(world: World, kinds: Collection[str], microbatch_size: int, steps: int) -> Timed:
    """Seconds of a step."""

    def run() -> float:
        with lean_layers(world.model.model.diffusion_model, kinds):
            return mean(seconds_per_step(world, config(steps + 1, microbatch_size)))

    return run


def vectors_after(world: World, kinds: Collection[str], steps: int) -> Tensor:
    """What a training ends at, all encoders in a row."""
    with (
        lean_layers(world.model.model.diffusion_model, kinds),
        training_session(world.model, world.clip) as (text_encoder, denoiser),
    ):
        vectors = train(text_encoder, denoiser, world.images, config(steps))
    return torch.cat([vectors[key].flatten() for key in sorted(vectors)])
