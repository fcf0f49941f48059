"""The memory plan of a run: chosen before anything is loaded, lowered where memory runs out all the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import comfy.model_management
import torch

from ..encoders import list_key, sub_tokenizers
from .footprint import Footprint, Layers, footprint_of
from .memory_plan import MARGIN_BYTES, MemoryPlan, first_that_fits, ladder, peak_bytes, working_bytes

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP

log = logging.getLogger(__name__)

GB = 1e9


class TrainingMemory:
    """Which plan is in force.

    plans: from the fastest that fits to the smallest.
    footprint: None where nothing is known. free_bytes: on the device.
    """

    def __init__(
        self, plans: Sequence[MemoryPlan], footprint: Footprint | None = None, free_bytes: float = float("inf")
    ) -> None:
        self._plans = list(plans)
        self._footprint = footprint
        self._free_bytes = free_bytes
        self._place: Callable[[], None] = lambda: None

    @property
    def plan(self) -> MemoryPlan:
        """The plan in force."""
        return self._plans[0]

    @property
    def working_bytes(self) -> float:
        """What a step needs beside the weights."""
        return 0.0 if self._footprint is None else working_bytes(self.plan, self._footprint) + MARGIN_BYTES

    @property
    def unet_bytes(self) -> float:
        """Room for weights of a UNet that is streamed."""
        if self._footprint is None:
            return 0.0
        return max(0.0, self._free_bytes - MARGIN_BYTES - peak_bytes(self.plan, self._footprint))

    def __str__(self) -> str:
        images = "whole batch at once" if not self.plan.microbatch_size else f"{self.plan.microbatch_size} at a time"
        line = f"memory plan: {self.plan.name}, {images}"
        if self._footprint is None:
            return line
        need = peak_bytes(self.plan, self._footprint) + MARGIN_BYTES
        if self.plan.stream_unet:
            need += min(self.unet_bytes, self._footprint.unet_weights)
        return f"{line}; about {need / GB:.1f} GB of {self._free_bytes / GB:.1f} GB"

    @contextmanager
    def followed_by(self, place: Callable[[], None]) -> Iterator[None]:
        """Call `place` when the plan changes, while the context lasts."""
        self._place = place
        try:
            yield
        finally:
            self._place = lambda: None

    def step_down(self, error: RuntimeError) -> int:
        """Put the next smaller plan in force after a step ran out of memory; its images per pass.

        Raises `error` where it is another kind of error, or no smaller plan is left.
        """
        if not is_out_of_memory(error) or len(self._plans) == 1:
            raise error
        del self._plans[0]
        comfy.model_management.soft_empty_cache()
        log.warning("DTI: out of memory; the step is done again with less. Now %s", self)
        self._place()
        return self.plan.microbatch_size


def plan_memory(
    model: ModelPatcher,
    clip: CLIP,
    *,
    edge: int,
    batch_size: int,
    microbatch_size: int,
    captions: Collection[str],
    wanted: str = "",
    trained: Collection[str] | None = None,
) -> TrainingMemory:
    """Choose the fastest plan that fits, before anything is loaded.

    Args:
        model, clip: the host's MODEL and CLIP.
        edge: of the square images, in pixels.
        microbatch_size: the most images per pass, 0 for the whole batch.
        captions: all different ones, of which a step may have the longest.
        wanted: a plan of `PLAN_NAMES` to begin with, "" for the fastest that fits.
        trained: keys of the text encoders that train; None for all.

    Raises:
        ValueError: not even the smallest plan fits.
    """
    device = model.load_device
    footprint = footprint_on(model, clip, edge, sorted(captions, key=len)[-batch_size:], trained)
    free_bytes = free_memory(device)
    plans = ladder(batch_size, microbatch_size, wanted)
    if not wanted and comfy.model_management.vram_state == comfy.model_management.VRAMState.NO_VRAM:
        # What --novram asks for: no weights on the device but those of the layer at work.
        return TrainingMemory(plans[-1:], footprint, peak_bytes(plans[-1], footprint) + MARGIN_BYTES)
    number = first_that_fits(plans, footprint, free_bytes)
    if number < 0:
        need = peak_bytes(plans[-1], footprint) + MARGIN_BYTES
        raise ValueError(
            f"Training at {edge} px needs about {need / GB:.1f} GB on {device} with the smallest memory plan, and "
            f"{max(free_bytes, 0.0) / GB:.1f} GB can be had. Close other programs that use it, or lower resolution."
        )
    # A plan that was asked for is taken at its word; it is lowered when memory does run out.
    is_wanted = [plan.name == wanted for plan in plans]
    if wanted and not is_wanted[number]:
        number = sum(is_wanted) - 1
    return TrainingMemory(plans[number:], footprint, free_bytes)


def free_memory(device: torch.device) -> float:
    """Bytes that the host could free on `device` by unloading every model, less what it keeps in reserve."""
    management = comfy.model_management
    free = float(management.get_free_memory(device))
    if management.is_device_cpu(device):
        return free
    loaded = (entry for entry in management.current_loaded_models if entry.device == device and entry.model is not None)
    can_go = float(sum(entry.model_loaded_memory() for entry in loaded))
    return free + can_go - float(management.extra_reserved_memory())


def footprint_on(
    model: ModelPatcher,
    clip: CLIP,
    edge: int,
    captions: Sequence[str],
    trained: Collection[str] | None = None,
) -> Footprint:
    """What a step with these captions takes on the devices that the host has for these models; see `plan_memory`."""
    management = comfy.model_management
    device, text_device = model.load_device, clip.patcher.load_device
    own_dtype = model.model.get_dtype()
    dtype = model.get_model_object("manual_cast_dtype") or own_dtype
    if management.should_use_bf16(device):
        dtype = torch.bfloat16
    lengths = _lengths(clip, captions)
    footprint = footprint_of(
        model.model,
        clip.cond_stage_model,
        edge,
        {key: sum(of_captions) for key, of_captions in lengths.items()},
        dtype.itemsize,
        n_text=_n_context(lengths),
        trained=trained,
        casts=dtype != own_dtype,
    )
    if management.is_device_cpu(device):
        return replace(footprint, unet_weights=0, text_weights=0, token_tables=0)
    if text_device != device:
        return replace(footprint, text_weights=0, token_tables=0, text=Layers(), other_text=Layers())
    return footprint


def _lengths(clip: CLIP, captions: Sequence[str]) -> dict[str, list[int]]:
    """How many tokens each caption has, by encoder key."""
    keys = sub_tokenizers(clip)
    tokens = [{list_key(name, keys): windows for name, windows in clip.tokenize(text).items()} for text in captions]
    return {key: [sum(map(len, of_caption.get(key, ()))) for of_caption in tokens] for key in keys}


def _n_context(lengths: Mapping[str, Sequence[int]]) -> int:
    """How many tokens a transformer has beside an image's: the CLIPs share places, others have their own."""
    clips = [max(own) for key, own in lengths.items() if key.startswith("clip_")]
    others = [max(own) for key, own in lengths.items() if not key.startswith("clip_")]
    return max(clips, default=0) + sum(others)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device ran out of memory, in the host's words or PyTorch's."""
    is_oom = getattr(comfy.model_management, "is_oom", None)
    return isinstance(error, torch.cuda.OutOfMemoryError) or (is_oom is not None and is_oom(error))
