"""Gradients through the host's frozen modules, without a trace afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def differentiable(*modules: torch.nn.Module) -> Iterator[None]:
    """Make modules differentiable in their inputs while the context lasts.

    Weights stay frozen. Two things of the host's stand in the way: a node's weights are inference tensors,
    which autograd cannot save, and its CLIP layers add their residual in place onto what LayerNorm has saved.
    So every parameter and buffer is replaced by an ordinary tensor on the same memory, and every LayerNorm
    gets a copy of its input. Both are undone on leaving, however that happens.
    """
    originals: list[tuple[dict[str, Any], str, Tensor]] = []
    hooks = []
    with torch.inference_mode(False), torch.enable_grad():
        try:
            # A module that is given twice is changed once, or its first change would count as its original.
            for child in dict.fromkeys(child for module in modules for child in module.modules()):
                slots: Any  # of parameters, of buffers
                for slots, wrap in ((child._parameters, _frozen), (child._buffers, _alias)):
                    for name, tensor in slots.items():
                        if tensor is not None:
                            originals.append((slots, name, tensor))
                            slots[name] = wrap(tensor)
                if isinstance(child, torch.nn.LayerNorm):
                    hooks.append(child.register_forward_pre_hook(_clone_input))
            yield
        finally:
            for slots, name, tensor in originals:
                slots[name] = tensor
            for hook in hooks:
                hook.remove()


def _alias(tensor: Tensor) -> Tensor:
    """An ordinary tensor on the same memory; of the same class, where that says how the values are to be read."""
    if hasattr(tensor, "__tensor_flatten__"):  # the host's quantised weights: tensors in a wrapper
        kind: Any = type(tensor)
        names, context = tensor.__tensor_flatten__()
        inner = {name: _alias(getattr(tensor, name)) for name in names}
        wrapped: Tensor = kind.__tensor_unflatten__(inner, context, tensor.size(), tensor.stride())
        return wrapped
    alias = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    alias.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())
    if not _is_plain(tensor):  # as GGUF packs have them
        alias = alias.as_subclass(type(tensor))
        alias.__dict__.update(tensor.__dict__)
    return alias


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, torch.nn.Parameter)


def _frozen(parameter: Tensor) -> Tensor:
    alias = _alias(parameter)
    return torch.nn.Parameter(alias, requires_grad=False) if _is_plain(parameter) else alias


def _clone_input(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (args[0].clone(), *args[1:])
