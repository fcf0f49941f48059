"""A pipeline's models made ready for training, and handed back as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


def check_models(models: Mapping[str, torch.nn.Module | None], kind: str) -> None:
    """Raise ValueError where one is missing or does not stay in one place. kind: of pipeline that has them all."""
    missing = [name for name, model in models.items() if model is None]
    if missing:
        raise ValueError(f"The pipeline has no {', '.join(missing)}. Load {kind} with all its parts.")
    # What offloading hooks move away after the forward pass is missing in the backward pass.
    if any(hasattr(module, "_hf_hook") for model in models.values() if model for module in model.modules()):
        raise ValueError(
            "The pipeline offloads its models, and training needs them in one place. Call pipe.remove_all_hooks() and "
            "pipe.to(device) first, or load it without offloading."
        )


@contextmanager
def frozen(*modules: torch.nn.Module) -> Iterator[None]:
    """Without gradients of their own, and in evaluation mode."""
    parameters = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    modes = [(child, child.training) for module in modules for child in module.modules()]
    try:
        for module in modules:
            module.eval().requires_grad_(False)
        yield
    finally:
        for parameter, requires_grad in parameters:
            parameter.requires_grad_(requires_grad)
        for child, training in modes:
            child.training = training


@contextmanager
def in_float32(*modules: torch.nn.Module) -> Iterator[None]:
    """Halves go through float32 and back without a change of value."""
    tensors = [t for module in modules for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    dtypes = [tensor.dtype for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in zip(tensors, dtypes, strict=True):
            tensor.data = tensor.data.to(dtype)
