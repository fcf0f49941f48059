"""How much of a training step is kept on the device, and what is computed or fetched again instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryPlan:
    """One way to spend memory and time; every plan gives the same gradients, to rounding.

    name: for people. microbatch_size: images per pass, 0 for the whole batch. recompute: kinds of layer
    (`recompute.LAYERS`) that keep only their inputs. stream_text_encoders, stream_unet: weights stay in main
    memory and are fetched layer by layer.
    """

    name: str
    microbatch_size: int = 0
    recompute: frozenset[str] = frozenset()
    stream_text_encoders: bool = False
    stream_unet: bool = False
