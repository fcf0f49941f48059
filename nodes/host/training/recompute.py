"""Layers whose insides are computed again in backward instead of kept (gradient checkpointing, Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import comfy.clip_model
import comfy.ldm.modules.attention
import comfy.ldm.modules.diffusionmodules.openaimodel
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# The kinds of layer, and the host's classes behind them.
LAYERS: dict[str, type[Any]] = {
    "feed_forward": comfy.ldm.modules.attention.FeedForward,
    "transformer_block": comfy.ldm.modules.attention.BasicTransformerBlock,
    "residual_block": comfy.ldm.modules.diffusionmodules.openaimodel.ResBlock,
    "text_layer": comfy.clip_model.CLIPLayer,
}

# Where the host's options for a network hold functions of nodes.
PATCHES = frozenset({"patches", "patches_replace"})


@contextmanager
def recomputed(kinds: Callable[[], Collection[str]], *modules: torch.nn.Module) -> Iterator[None]:
    """While the context lasts, layers of `kinds()` (asked at each call, of LAYERS) keep their inputs alone."""
    changed: list[tuple[torch.nn.Module, Any]] = []
    try:
        for child in (child for module in modules for child in module.modules()):
            kind = next((kind for kind, layer in LAYERS.items() if isinstance(child, layer)), None)
            if kind is not None:
                changed.append((child, child.__dict__.get("forward")))
                child.forward = partial(_forward, child.forward, kind, kinds)
        yield
    finally:
        for child, before in changed:
            del child.forward
            if before is not None:
                child.forward = before


def _forward(
    forward: Callable[..., Any], kind: str, kinds: Callable[[], Collection[str]], *args: Any, **kwargs: Any
) -> Any:
    if kind not in kinds() or not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    # What the host notes in its options for the next block (its number) must still be there in backward.
    args, kwargs = _own(args), dict(zip(kwargs, _own(kwargs.values()), strict=True))

    def run(x: Tensor, *rest: Any, **named: Any) -> Any:
        # CLIP's layers add their result to their input in place, and that input is what is kept.
        return forward(x.clone() if kind == "text_layer" else x, *rest, **named)

    # What nodes put into a block may draw random numbers, as ToMe does: in backward the same ones.
    is_patched = any(isinstance(value, dict) and not PATCHES.isdisjoint(value) for value in (*args, *kwargs.values()))
    return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=is_patched, **kwargs)


def _own(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict(value) if isinstance(value, dict) else value for value in values)
