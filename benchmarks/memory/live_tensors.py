"""Counts the memory that live tensors hold, operation by operation."""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GRAIN = 512  # bytes to which CUDA's caching allocator rounds up


class LiveTensors(TorchDispatchMode):
    """While active, follows every storage on `device` from the operation that makes it to its end.

    Each storage counts once, however many views it has. Not seen: workspaces inside a kernel, the CUDA context,
    and what fragmentation costs.

    now, peak: bytes held at this moment, and at the worst one since `restart`.
    by_part_at_peak: the same by what `part` said when each was made.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.part = "other"
        self.now = 0
        self.peak = 0
        self.by_part_at_peak: dict[str, int] = {}
        self._device = device
        self._live: dict[int, Any] = {}
        self._by_part: defaultdict[str, int] = defaultdict(int)

    def restart(self) -> None:
        """Forget earlier peaks."""
        self.peak, self.by_part_at_peak = self.now, dict(self._by_part)

    def add(self, tensor: Tensor, part: str | None = None) -> None:
        """Count a tensor that was made before, or elsewhere."""
        if tensor.device.type != self._device.type:
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, -(-storage.nbytes() // GRAIN) * GRAIN
        if key in self._live or size == 0:
            return
        part = part or self.part
        self._live[key] = weakref.ref(storage, lambda _: self._drop(key, size, part))
        self._by_part[part] += size
        self.now += size
        if self.now > self.peak:
            self.restart()

    def _drop(self, key: int, size: int, part: str) -> None:
        del self._live[key]
        self._by_part[part] -= size
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result
