"""Models in less than float32: how far the gradient for the vectors turns, and the training with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from comfy.clip_model import CLIPEncoder
from dti_pack.dti_core.training import StepReport, train
from dti_pack.dti_core.training.data import draw_batch
from dti_pack.nodes.host.training.session import _computing_in, training_session
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.speed.product import config
from benchmarks.speed.tried.gradients import Gradient, degrees_between, gradient_of
from benchmarks.speed.world import World

TEXT, NETWORK = "text encoders", "network"
LOWERED = (
    (TEXT, "TF32"),
    (TEXT, "float16"),
    (TEXT, "bfloat16"),
    (NETWORK, "float16"),
    (NETWORK, "bfloat16"),
)
LOSS_SCALE = 2.0**15  # the pack's for float16; without one most gradients are less than its smallest number
_PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default}


class _TF32(TorchDispatchMode):
    """Matrix products of factors rounded to ten bits, added up in float32, as tensor cores do it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _PRODUCTS:
            args = (*args[:-2], _rounded(args[-2]), _rounded(args[-1]))
        return func(*args, **(kwargs or {}))


def _rounded(x: Tensor) -> Tensor:
    dropped = 13  # of float32's 23 bits
    bits = x.contiguous().view(torch.int32)
    return ((bits + (1 << (dropped - 1))) & ~((1 << dropped) - 1)).view(torch.float32)


@contextmanager
def _text_encoders_in(dtype: torch.dtype, clip_model: torch.nn.Module) -> Iterator[None]:
    """Let the layers of the host's text encoders compute in `dtype` while the context lasts."""

    def lower(module: torch.nn.Module, args: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return tuple(arg.to(dtype) for arg in args), {**options, "mask": options["mask"].to(dtype)}

    def raise_again(module: torch.nn.Module, args: tuple, output: tuple) -> tuple:
        return tuple(None if part is None else part.float() for part in output)

    with ExitStack() as stack:
        for module in clip_model.modules():
            if isinstance(module, CLIPEncoder):
                for hook in (
                    module.register_forward_pre_hook(lower, with_kwargs=True),
                    module.register_forward_hook(raise_again),
                ):
                    stack.callback(hook.remove)
        yield


def angles(world: World, steps: int) -> dict[str, list[float]]:
    """Degrees from float32's gradient at each step of a training, by what is lowered; and to the next batch's."""
    turned: dict[str, list[float]] = {" in ".join(lowered): [] for lowered in LOWERED}
    turned["all in float32, the next batch"] = []
    with training_session(world.model, world.clip) as (text_encoder, denoiser):
        path: list[StepReport] = []
        train(text_encoder, denoiser, world.images, config(steps), path.append)
        generator = torch.Generator().manual_seed(1)
        last: Gradient = {}
        for report in path:
            batch = draw_batch(world.images, 4, generator)
            exact = gradient_of(text_encoder, denoiser, batch, report.vectors)
            turned["all in float32, the next batch"] += [degrees_between(exact[key], last[key]) for key in last]
            last = exact
            for part, precision in LOWERED:
                with _lowered(part, precision, world):
                    other = gradient_of(text_encoder, denoiser, batch, report.vectors, LOSS_SCALE)
                turned[f"{part} in {precision}"] += [degrees_between(other[key], exact[key]) for key in exact]
    return turned


def _lowered(part: str, precision: str, world: World):
    if precision == "TF32":
        return _TF32()  # of the network too, so the angle is an upper bound
    dtype = getattr(torch, precision)
    if part == NETWORK:
        return _computing_in(dtype, world.model.model)
    return _text_encoders_in(dtype, world.clip.cond_stage_model)


def degrees_apart_after(world: World, steps: int) -> dict[str, dict[str, float]]:
    """Between the vectors that a training ends at when something is lowered and in float32, by encoder key."""
    ends = {}
    for name, lowered in (("float32", None), *((" in ".join(one), one) for one in LOWERED if "float16" != one[1])):
        with (
            training_session(world.model, world.clip) as (text_encoder, denoiser),
            nullcontext() if lowered is None else _lowered(*lowered, world),
        ):
            ends[name] = train(text_encoder, denoiser, world.images, config(steps))
    exact = ends.pop("float32")
    return {name: {key: degrees_between(v[key], exact[key]) for key in exact} for name, v in ends.items()}
