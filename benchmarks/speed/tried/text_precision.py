"""Text encoders in less than float32: how far the gradient for the vectors turns, and the training with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from comfy.clip_model import CLIPEncoder
from dti_pack.dti_core.training import StepReport, train
from dti_pack.dti_core.training_data import draw_batch
from dti_pack.nodes.host.session import training_session
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.speed.product import config
from benchmarks.speed.tried.gradients import Gradient, degrees_between, gradient_of
from benchmarks.speed.world import World

PRECISIONS = ("TF32", "float16", "bfloat16")
LOSS_SCALE = 2.0**12  # without one most of these gradients are less than float16's smallest
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
def text_encoders_in(precision: str, clip_model: torch.nn.Module) -> Iterator[None]:
    """Let the layers of the host's text encoders compute in `precision` while the context lasts."""
    dtype = getattr(torch, precision)

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


def angles(world: World, steps: int) -> tuple[dict[str, list[float]], list[float]]:
    """Degrees from float32's gradient at each step of a training, by precision; and from the next batch's gradient."""
    turned: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    between_batches: list[float] = []
    with training_session(world.model, world.clip) as (text_encoder, denoiser):
        path: list[StepReport] = []
        train(text_encoder, denoiser, world.images, config(steps), path.append)
        generator = torch.Generator().manual_seed(1)
        last: Gradient = {}
        for report in path:
            batch = draw_batch(world.images, 4, generator)
            exact = gradient_of(text_encoder, denoiser, batch, report.vectors)
            if last:
                between_batches += [degrees_between(exact[key], last[key]) for key in exact]
            last = exact
            for precision in PRECISIONS:
                with _computing_in(precision, world):
                    other = gradient_of(text_encoder, denoiser, batch, report.vectors, LOSS_SCALE)
                turned[precision] += [degrees_between(other[key], exact[key]) for key in exact]
    return turned, between_batches


def _computing_in(precision: str, world: World):
    # The network's products are rounded along, so that TF32's angle is an upper bound.
    return _TF32() if precision == "TF32" else text_encoders_in(precision, world.clip.cond_stage_model)


def degrees_apart_after(world: World, steps: int) -> dict[str, dict[str, float]]:
    """Between the vectors that a training ends at in each precision and in float32, by encoder key."""
    ends = {}
    for precision in ("float32", "TF32", "bfloat16"):  # float16 would need the loss scale within `train`
        lowered = nullcontext() if precision == "float32" else _computing_in(precision, world)
        with training_session(world.model, world.clip) as (text_encoder, denoiser), lowered:
            ends[precision] = train(text_encoder, denoiser, world.images, config(steps))
    exact = ends.pop("float32")
    return {name: {key: degrees_between(v[key], exact[key]) for key in exact} for name, v in ends.items()}
