"""Layers whose insides are computed again in backward instead of kept (gradient checkpointing, Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import comfy.clip_model
import comfy.ldm.modules.attention
import comfy.ldm.modules.diffusionmodules.openaimodel
import torch
from comfy.ldm.flux.layers import DoubleStreamBlock, SingleStreamBlock
from comfy.ldm.lumina.model import JointTransformerBlock
from comfy.ldm.modules.diffusionmodules.mmdit import JointBlock
from comfy.ldm.pixart.pixartms import PixArtMSBlock
from comfy.text_encoders.llama import TransformerBlock, TransformerBlockGemma2
from comfy.text_encoders.t5 import T5Block
from torch.utils.checkpoint import checkpoint

from .differentiable import NoOut

# The kinds of layer, and the host's classes behind them. "dit_block": of networks that are transformers throughout.
LAYERS: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "feed_forward": comfy.ldm.modules.attention.FeedForward,
    "transformer_block": comfy.ldm.modules.attention.BasicTransformerBlock,
    "residual_block": comfy.ldm.modules.diffusionmodules.openaimodel.ResBlock,
    "text_layer": comfy.clip_model.CLIPLayer,
    "dit_block": (DoubleStreamBlock, SingleStreamBlock, JointBlock, JointTransformerBlock, PixArtMSBlock),
    "language_layer": (T5Block, TransformerBlock, TransformerBlockGemma2),
}

# Of these many add their result to an input in place.
WRITING = frozenset({"dit_block", "language_layer"})

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

    def run(*given: Any, **named: Any) -> Any:
        # CLIP's layers add their result to their input in place, and that input is what is kept.
        if kind == "text_layer":
            return forward(given[0].clone(), *given[1:], **named)
        if kind in WRITING:
            given, named = tuple(map(_copied, given)), {name: _copied(value) for name, value in named.items()}
        with NoOut() if kind == "language_layer" else nullcontext():
            return forward(*given, **named)

    # What nodes put into a block may draw random numbers, as ToMe does: in backward the same ones.
    is_patched = any(isinstance(value, dict) and not PATCHES.isdisjoint(value) for value in (*args, *kwargs.values()))
    return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=is_patched, **kwargs)


def _own(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict(value) if isinstance(value, dict) else value for value in values)


def _copied(value: Any) -> Any:
    # Also of what has no gradient yet: it gets one when a result that has is added to it.
    return value.clone() if torch.is_tensor(value) and value.is_floating_point() else value
