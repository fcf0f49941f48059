"""All windows of several prompts in one pass of each text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from comfy.sd1_clip import SDClipModel

# What the host hands to an encoder for one window: token ids, and tensors in the place of some.
Window = Sequence[int | Tensor]
Key = tuple[int, ...]


@contextmanager
def encoded_together(windows: Mapping[SDClipModel, Sequence[Window]]) -> Iterator[None]:
    """While the context lasts, encoding any of these windows costs each encoder one pass for all of them.

    windows: by text encoder (the host's SDClipModel), the windows of all prompts to come.

    The host takes one prompt at a time: it encodes the windows, and an empty one where the prompt has weights,
    and then applies the weights. So an encoder runs at the first demand, over all windows of that length, and
    each prompt gets copies of its own rows; what happens to them afterwards stays the host's.
    """
    try:
        for encoder, known in windows.items():
            encoder.encode = _Together(encoder.encode, known)
        yield
    finally:
        for encoder in windows:
            vars(encoder).pop("encode", None)


class _Together:
    """In the place of one encoder's `encode`."""

    def __init__(self, encode: Any, windows: Sequence[Window]) -> None:
        self._encode = encode
        self._waiting = {_key(window): window for window in windows}
        self._rows: dict[Key, list[Any]] = {}
        self._structure: Any = None

    def __call__(self, windows: Sequence[Window]) -> Any:
        for window in windows:
            if _key(window) not in self._rows:
                self._run(window)
        columns = zip(*(self._rows[_key(window)] for window in windows), strict=True)
        leaves = [torch.stack(column) if torch.is_tensor(column[0]) else column[0] for column in columns]
        return tree_unflatten(leaves, self._structure)

    def _run(self, wanted: Window) -> None:
        alike = {key: window for key, window in self._waiting.items() if len(window) == len(wanted)}
        batch = {**alike, _key(wanted): wanted}
        self._waiting = {key: window for key, window in self._waiting.items() if key not in batch}
        leaves, self._structure = tree_flatten(self._encode(list(batch.values())))
        for number, key in enumerate(batch):
            self._rows[key] = [leaf[number] if torch.is_tensor(leaf) else leaf for leaf in leaves]


def _key(window: Window) -> Key:
    return tuple(id(token) if torch.is_tensor(token) else token for token in window)
