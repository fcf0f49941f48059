"""Functions that nodes have put into a MODEL's network: which they are, whose, and how sampling would call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from types import CellType
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# They make sampling faster by leaving passes out or by compiling; in training there is nothing for them to do.
SHORTCUTS = {"easycache": "EasyCache", "lazycache": "LazyCache", "torch.compile": "TorchCompileModel"}
_KINDS = ("patches", "patches_replace", "wrappers")


@dataclass(frozen=True)
class Patch:
    """One function within the network or around it.

    owner: the node that put it there, as far as the function tells.
    place: where it belongs in the host's transformer_options; () for the wrapper around the whole pass.
    """

    owner: str
    place: tuple[Any, ...]
    function: object


def network_patches(patcher: ModelPatcher) -> list[Patch]:
    """What sampling with this ModelPatcher runs in its network, `SHORTCUTS` left out."""
    options = patcher.model_options.get("transformer_options", {})
    found: list[tuple[tuple[Any, ...], object]] = [
        (("patches", name), function)
        for name, functions in options.get("patches", {}).items()
        for function in functions
    ]
    found += [
        (("patches_replace", name, layer), function)
        for name, layers in options.get("patches_replace", {}).items()
        for layer, function in layers.items()
    ]
    # The sampler adds those of the patcher itself. The other types wrap the sampler, not the network.
    for wrappers in (options.get("wrappers", {}), patcher.wrappers):
        found += [
            (("wrappers", kind, key), function)
            for kind in (WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL)
            for key, functions in wrappers.get(kind, {}).items()
            for function in functions
            if key not in SHORTCUTS
        ]
    around = patcher.model_options.get("model_function_wrapper")
    found += [] if around is None else [((), around)]
    return [Patch(_owner(function), place, function) for place, function in found]


def shortcuts(patcher: ModelPatcher) -> list[str]:
    """The names of the `SHORTCUTS` that this ModelPatcher carries."""
    keys = {key for wrappers in patcher.wrappers.values() for key in wrappers}
    return [name for key, name in SHORTCUTS.items() if key in keys]


def transformer_options(patcher: ModelPatcher, patches: Sequence[Patch]) -> dict[str, Any]:
    """The MODEL's own options for its network, with these patches alone."""
    own = patcher.model_options.get("transformer_options", {})
    options = {name: value for name, value in own.items() if name not in _KINDS}
    for patch in patches:
        match patch.place:
            case ("patches", name):
                options.setdefault("patches", {}).setdefault(name, []).append(_writable(patch.function))
            case ("patches_replace", name, layer):
                options.setdefault("patches_replace", {}).setdefault(name, {})[layer] = _writable(patch.function)
            case ("wrappers", kind, key):
                wrappers = options.setdefault("wrappers", {}).setdefault(kind, {})
                wrappers.setdefault(key, []).append(patch.function)
    return options


def patch_modules(patches: Sequence[Patch]) -> list[torch.nn.Module]:
    """Networks that the patches bring with them, as a hypernetwork does."""
    return [module for patch in patches for module in _modules(patch.function, depth=4)]


def _modules(value: object, depth: int) -> list[torch.nn.Module]:
    if isinstance(value, torch.nn.Module):
        return [value]
    if depth == 0:
        return []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    elif callable(value):
        cells = getattr(value, "__closure__", None) or ()
        inner = [*getattr(value, "__dict__", {}).values(), *(cell.cell_contents for cell in cells if _is_full(cell))]
        inner.append(getattr(value, "__self__", None))
    else:
        return []
    return [module for one in inner for module in _modules(one, depth - 1)]


def _is_full(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a variable that has not been set yet
        return False


def _writable(function: object) -> object:
    """`function`, allowed to write into tensors of its own that autograd has saved, as FreeU_V2 does."""
    if not callable(function):  # some places hold pairs
        return function

    def call(*args: object, **kwargs: object) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(_copy, _same):
            return function(*args, **kwargs)

    return call


def _copy(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, torch.nn.Parameter) else tensor.detach().clone()


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _owner(function: object) -> str:
    """The name of the class or function in which it was made: for a node's own, the node."""
    if isinstance(function, tuple | list):
        return _owner(function[-1])
    if isinstance(function, partial):
        return _owner(function.func)
    made: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{made.__qualname__.split('.')[0]} ({PurePath(str(made.__module__).replace('.', '/')).name})"
