"""By what a model of the host is known again in another process, with what nodes have put on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ....dti_core.training.fingerprints import digest, sampled
from .model_patches import network_patches

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# Per weight; there are some two thousand of them.
VALUES = 16
# SDXL neither has nor reads it; the host leaves it as the memory was.
UNSET = "clip_l.transformer.text_projection.weight"


def model_fingerprint(patcher: ModelPatcher) -> str:
    """A digest of samples of the weights, and of LoRAs and other patches; not of what a node's function is set to.

    Call it while this patcher is the one that is loaded, or none is: on the same weights another may have its patches.
    """
    left_out = {UNSET, *patcher.patches}
    weights = {name: _sample(w) for name, w in patcher.model.state_dict().items() if name not in left_out}
    objects = {name: (type(thing).__name__, _buffers(thing)) for name, thing in sorted(patcher.object_patches.items())}
    patches = {name: _plain(patcher.patches[name]) for name in sorted(patcher.patches)}
    return digest((weights, patches, objects, [(patch.owner, str(patch.place)) for patch in network_patches(patcher)]))


def _sample(weight: Tensor) -> list[float] | tuple[int, ...]:
    try:
        return sampled(weight, VALUES).tolist()
    except (NotImplementedError, RuntimeError, TypeError):  # quantised in a way that cannot be cut
        return tuple(weight.shape)


def _buffers(thing: object) -> dict[str, Any]:
    return {n: _sample(t) for n, t in thing.named_buffers()} if isinstance(thing, torch.nn.Module) else {}


def _plain(value: object) -> Any:
    """What a patch is made of: numbers, text, samples of tensors; of the host's adapters what they hold."""
    if isinstance(value, Tensor):
        return _sample(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return [type(value).__name__, _plain(getattr(value, "weights", None))]
