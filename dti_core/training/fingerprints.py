"""What a run is made of, by name, so that a state is not taken for another run's unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ..vocabulary import Vocabulary
from .config import TrainingConfig
from .data import TrainingImage
from .state import TrainingState

# They do not change what a run comes to, or have rules of their own (`same_so_far`).
FREE = frozenset({"steps", "microbatch_size"})
DIGEST = "sha256:"


def fingerprints(
    config: TrainingConfig,
    images: Sequence[TrainingImage],
    vocabularies: Mapping[str, Vocabulary],
    others: Mapping[str, str],
    pictures: Sequence[Tensor] | None = None,
) -> dict[str, str]:
    """By name, the settings as they are, and digests of what is too long to be shown.

    others: what the loop does not see, such as the models.
    pictures: what the images were encoded from; a VAE on a GPU may encode the same picture a little differently.
    """
    named = {name: str(value) for name, value in config.in_use().items() if name not in FREE}
    for number, image in enumerate(images):
        parts = {field.name: getattr(image, field.name) for field in fields(image)}
        if pictures is not None:
            parts |= {"mean": pictures[number], "std": tuple(image.mean.shape)}
        named[f"captions of image {number + 1}"] = digest(parts.pop("captions"))
        weights = parts.pop("weights")
        repeats = parts.pop("repeats")
        if repeats != 1:
            named[f"repeats of image {number + 1}"] = str(repeats)
        if parts["window"] is None:  # as before there were other crops
            del parts["window"]
        if weights is not None:
            named[f"mask of image {number + 1}"] = digest(weights)
        named[f"image {number + 1}"] = digest(parts)
    for key, vocabulary in vocabularies.items():
        named[f"token table {key}"] = digest(sampled(vocabulary.table))
    return {**named, **others}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not the same in two of `fingerprints`, in words."""
    return [
        _difference(name, before.get(name), now.get(name))
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]


def same_so_far(state: TrainingState, config: TrainingConfig) -> bool:
    """Whether a run of `config.steps` comes through this state: not where a schedule or an average counts back
    from the end, and the end is another."""
    if config.options.average and state.steps != config.steps:
        return False
    return state.step <= config.steps and all(
        config.options.rate_share(step, state.steps) == config.options.rate_share(step, config.steps)
        for step in range(1, state.step + 1)
    )


def digest(value: Any) -> str:
    """Of tensors, numbers, text and containers of them."""
    content = hashlib.sha256()
    for part in _parts(value):
        content.update(part + b"\0")
    return DIGEST + content.hexdigest()[:16]


def sampled(tensor: Tensor, most: int = 4096) -> Tensor:
    """Up to `most` of its values from all over, float32 `[n]` on the CPU: enough to know large weights by."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, -(-len(flat) // most))].cpu().float()


def _parts(value: Any) -> Iterable[bytes]:
    if isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key).encode()
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"{len(value)}".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield repr(value).encode()


def _difference(name: str, before: str | None, now: str | None) -> str:
    if not (before or now or "").startswith(DIGEST):
        return f"{name} was {before or 'not set'} and is {now or 'not set'}"
    return f"{name} is new" if before is None else f"{name} is gone" if now is None else f"{name} changed"
