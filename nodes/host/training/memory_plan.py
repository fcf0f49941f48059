"""How much of a training step is kept on the device, and what is computed or fetched again instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .footprint import Footprint

# cuDNN's and cuBLAS' workspaces, and what the allocator cannot use between its blocks.
MARGIN_BYTES = 0.4e9


@dataclass(frozen=True)
class MemoryPlan:
    """One way to trade time for memory; every plan gives the same gradients, to rounding.

    name: for people.
    microbatch_size: images per pass, 0 for the whole batch.
    recompute: kinds of layer (`recompute.LAYERS`) that keep only their inputs.
    stream_text_encoders, stream_unet: weights stay in main memory and are fetched layer by layer, the UNet's as
    far as there is no room for them.
    """

    name: str
    microbatch_size: int = 0
    recompute: frozenset[str] = frozenset()
    stream_text_encoders: bool = False
    stream_unet: bool = False


_BLOCKS = frozenset({"transformer_block", "text_layer", "dit_block", "language_layer"})
_ALL = _BLOCKS | {"residual_block"}

# From fast to small.
PLANS = (
    MemoryPlan("keep all"),
    MemoryPlan("recompute feed-forward", recompute=frozenset({"feed_forward"})),
    MemoryPlan("recompute transformer blocks", recompute=_BLOCKS),
    MemoryPlan("recompute all blocks", recompute=_ALL),
    MemoryPlan("stream text encoders", recompute=_ALL, stream_text_encoders=True),
    MemoryPlan("stream all", recompute=_ALL, stream_text_encoders=True, stream_unet=True),
)
PLAN_NAMES = tuple(plan.name for plan in PLANS)


def ladder(batch_size: int, microbatch_size: int = 0, first: str = "") -> list[MemoryPlan]:
    """The plans to try in order: fewer images per pass first, then, one image at a time, ever less that is kept.

    microbatch_size: images per pass to begin with, 0 for the whole batch. first: the plan to begin with, "" for
    the fastest.
    """
    plans = PLANS[PLAN_NAMES.index(first) if first else 0 :]
    return [replace(plans[0], microbatch_size=size) for size in _halved(microbatch_size or batch_size, batch_size)] + [
        replace(plan, microbatch_size=1) for plan in plans[1:]
    ]


def peak_bytes(plan: MemoryPlan, footprint: Footprint) -> float:
    """Bytes that a step needs on the device, streamed UNet weights left out."""
    unet = 0 if plan.stream_unet else footprint.unet_weights
    text = footprint.token_tables if plan.stream_text_encoders else footprint.text_weights
    return unet + text + working_bytes(plan, footprint)


def working_bytes(plan: MemoryPlan, footprint: Footprint) -> float:
    """The part of `peak_bytes` that is not weights."""
    network = footprint.network_kept(plan.recompute, plan.microbatch_size, plan.stream_unet)
    at_work = footprint.text_at_work(plan.recompute, plan.stream_text_encoders)
    return footprint.text_kept(plan.recompute) + max(network, at_work)


def first_that_fits(plans: Sequence[MemoryPlan], footprint: Footprint, free_bytes: float) -> int:
    """The index of the first of `plans` that needs no more than `free_bytes`, margin included; -1 for none."""
    needs = (peak_bytes(plan, footprint) + MARGIN_BYTES for plan in plans)
    return next((number for number, need in enumerate(needs) if need <= free_bytes), -1)


def _halved(size: int, largest: int) -> list[int]:
    sizes = [min(size, largest)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes
