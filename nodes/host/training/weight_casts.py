"""Casts of frozen weights, made again for backward instead of kept until then."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import comfy.ops
import torch
from comfy.ops import QuantizedTensor
from torch import Tensor


@dataclass(frozen=True)
class _Cast:
    """How a tensor comes from a module's weight: enough to make it once more.

    options: further arguments of the host's cast. size, stride, offset: of the tensor within what the cast gives.
    """

    module: torch.nn.Module
    dtype: torch.dtype
    device: torch.device
    options: dict[str, object]
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


@contextmanager
def casts_made_again() -> Iterator[None]:
    """Let autograd keep no cast of a frozen weight while the context lasts.

    The host brings a weight to the dtype and the device of the input for each pass, with LoRA patches and
    dequantisation where there are any (`comfy.ops.cast_bias_weight`), and autograd would keep each result:
    5 GB for SDXL's UNet. What it keeps here is which weight that was, and backward asks the host again.

    Every cast gets memory of its own: the host's transfer buffers are overwritten by the next layer's weight,
    and a recomputed block (see `recompute`) holds its weights until its own backward.
    """
    original = comfy.ops.cast_bias_weight
    made: dict[int, tuple[weakref.ref[torch.UntypedStorage], torch.nn.Module, dict[str, object]]] = {}

    def cast(
        module: torch.nn.Module,
        input: Tensor | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        bias_dtype: torch.dtype | None = None,
        offloadable: bool = False,
        **options: object,
    ) -> tuple[object, ...]:
        weight, bias = original(module, input, dtype, device, bias_dtype, offloadable=False, **options)
        weight = _values(weight)
        if type(weight) is Tensor and weight is not module.weight:
            storage = weight.untyped_storage()
            key = storage._cdata
            made[key] = (weakref.ref(storage, lambda _: made.pop(key, None)), module, options)
        return (weight, bias, None) if offloadable else (weight, bias)

    def pack(tensor: Tensor) -> Tensor | _Cast:
        if not made:  # so it is for most of what a step saves: a cast that nothing keeps is gone after its layer
            # Without its history: a layer that keeps its own result would keep itself, and never be freed.
            return tensor.detach()
        entry = made.get(tensor.untyped_storage()._cdata)
        if entry is None or entry[0]() is None:
            return tensor.detach()
        _, module, options = entry
        return _Cast(
            module, tensor.dtype, tensor.device, options, tensor.size(), tensor.stride(), int(tensor.storage_offset())
        )

    def unpack(kept: Tensor | _Cast) -> Tensor:
        if not isinstance(kept, _Cast):
            return kept
        weight, _ = original(kept.module, dtype=kept.dtype, device=kept.device, bias_dtype=kept.dtype, **kept.options)
        return _values(weight).detach().as_strided(kept.size, kept.stride, kept.offset)

    comfy.ops.cast_bias_weight = cast
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield
    finally:
        comfy.ops.cast_bias_weight = original


def _values(weight: Tensor) -> Tensor:
    """What a quantised weight stands for: the host may leave it to its matrix products, and not all have a gradient."""
    return weight.dequantize() if isinstance(weight, QuantizedTensor) else weight
