"""Quantised layers that multiply by their dequantised weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ops
import torch


@contextmanager
def full_precision(*modules: torch.nn.Module) -> Iterator[None]:
    """While the context lasts, no layer of the host's rounds its input to 8 or 4 bits.

    That is how it multiplies by weights that are stored so, where the device can. Rounding has no derivative: some
    hosts cut the gradient there without a word, others pass it on as if nothing had been rounded.
    """
    fp8_linear = comfy.ops.fp8_linear
    changed: list[tuple[Any, bool]] = []
    try:
        comfy.ops.fp8_linear = _not_in_8_bits
        child: Any  # a layer of the host's
        for child in (child for module in modules for child in module.modules()):
            if hasattr(child, "_full_precision_mm"):
                changed.append((child, child._full_precision_mm))
                child._full_precision_mm = True
        yield
    finally:
        comfy.ops.fp8_linear = fp8_linear
        for child, before in changed:
            child._full_precision_mm = before


def _not_in_8_bits(layer: torch.nn.Module, x: torch.Tensor) -> None:
    return None  # what the host takes for "cannot be done", and casts the weight
