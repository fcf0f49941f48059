"""What travels between the card and main memory during a step, and what CUDA would refuse to mix."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# Operations whose purpose is to bring tensors together, or that CUDA gives indices from the CPU.
MAY_MIX = {aten._to_copy.default, aten.copy_.default, aten.index.Tensor, aten.index_put_.default}
# Operations that may take values from the card, which has none to give.
_LEAVING = {aten._local_scalar_dense.default, aten._to_copy.default, aten.copy_.default}
REPO = Path(__file__).resolve().parents[2]


class Crossings(TorchDispatchMode):
    """Counts, while active and `is_counting`, by the place in the code that asks for it.

    waits: values that the CPU takes from the card, for which it must wait until the card has done all before.
    mixed: operations on tensors of both, which CUDA refuses (numbers without a dimension aside).

    The card has no values: what is taken from it is made up.
    """

    def __init__(self, card: torch.device) -> None:
        super().__init__()
        self.is_counting = False
        self.waits: Counter[str] = Counter()
        self.mixed: Counter[str] = Counter()
        self._card = card

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.is_counting and func not in _LEAVING:
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_card = [tensor.device.type == self._card.type for tensor in tensors]
        if func is aten._local_scalar_dense.default and on_card[0]:
            self._note(self.waits, func)
            return 0.5
        if func is aten._to_copy.default and on_card[0] and _leaves(kwargs.get("device"), self._card):
            self._note(self.waits, func)
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if func is aten.copy_.default and on_card[1] and not on_card[0]:
            self._note(self.waits, func)
            return args[0].fill_(1)
        if any(on_card) and func not in MAY_MIX:
            if not all(here or tensor.ndim == 0 for here, tensor in zip(on_card, tensors, strict=True)):
                self._note(self.mixed, func)
        return func(*args, **kwargs)

    def _note(self, counter: Counter[str], func: Any) -> None:
        if self.is_counting:
            counter[f"{func} in {_place()}"] += 1


def _leaves(device: Any, card: torch.device) -> bool:
    return device is not None and torch.device(device).type != card.type


def _place() -> str:
    """The innermost line of the pack's own code, and the innermost one at all outside of torch."""
    frames = [frame for frame in traceback.extract_stack()[:-3] if "site-packages" not in frame.filename]
    ours = [frame for frame in frames if str(REPO) in frame.filename and "benchmarks" not in frame.filename]
    named = dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*ours[-1:], *frames[-1:]))
    return " -> ".join(named)
