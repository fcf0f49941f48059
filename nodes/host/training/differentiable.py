"""Gradients through the host's frozen modules, without a trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from comfy.text_encoders.llama import TransformerBlock, TransformerBlockGemma2
from comfy.text_encoders.t5 import T5LayerNorm
from torch import Tensor
from torch.overrides import TorchFunctionMode

NORMS = (torch.nn.LayerNorm, T5LayerNorm)
BLOCKS = (TransformerBlock, TransformerBlockGemma2)


@contextmanager
def differentiable(*modules: torch.nn.Module) -> Iterator[None]:
    """Make modules differentiable in their inputs while the context lasts.

    Weights stay frozen. Three things of the host's stand in the way: a node's weights are inference tensors,
    which autograd cannot save; its CLIP and T5 layers add their residual in place onto what their norm has saved;
    and newer hosts have language models' blocks write their result into their input, by an `out=` that autograd
    refuses. So every parameter and buffer is replaced by an ordinary tensor on the same memory, every such norm
    gets a copy of its input, and those blocks do without `out=`. All is undone on leaving, however that happens.
    """
    originals: list[tuple[dict[str, Any], str, Tensor]] = []
    hooks = []
    blocks: list[tuple[torch.nn.Module, Any]] = []
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
                if isinstance(child, NORMS):
                    hooks.append(child.register_forward_pre_hook(_clone_input))
                if isinstance(child, BLOCKS):
                    blocks.append((child, vars(child).get("forward")))
                    child.forward = partial(_without_out, child.forward)
            yield
        finally:
            for child, own in blocks:
                del child.forward
                if own is not None:
                    child.forward = own
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


class NoOut(TorchFunctionMode):
    """Lets no operation write its result into a tensor that it is given for that."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{name: value for name, value in (kwargs or {}).items() if name != "out"})


def _without_out(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with NoOut():
        return forward(*args, **kwargs)
