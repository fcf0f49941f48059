"""Files that hold several embeddings: a LoRA with embeddings in it, a list, the snapshots of a training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .encoder_keys import named_encoder
from .header import TensorInfo

BUNDLED = re.compile(r"bundle_emb\.(.+?)\.(string_to_param\.\*|[a-z0-9_]+)")
LISTED = re.compile(r"\[(\d+)\]\.(.*)", re.DOTALL)
SNAPSHOT = re.compile(r"(?:step|epoch|iter(?:ation)?)s?[ _.:=-]*(\d+)", re.IGNORECASE)

# Header note of ours: what was chosen of a file of several snapshots.
SNAPSHOT_NOTE = "dti.snapshot"


@dataclass(frozen=True)
class Part:
    """One embedding of a file: tensor names as they are within it, to the names in the file."""

    names: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)


def list_entry(number: int, name: str) -> str:
    """The name of a tensor in a list of embeddings; `number` counts from 1."""
    return f"[{number}].{name}"


def is_bundle(names: Iterable[str]) -> bool:
    """Whether a file with these tensors is a LoRA that carries embeddings."""
    return any(name.startswith("bundle_emb.") for name in names)


def chosen_part(path: Path, tensors: Mapping[str, TensorInfo], wanted: str) -> Part:
    """The embedding called `wanted`, or the one that a file is where nothing is wanted.

    Of a list and of snapshots that is the last one, unless the list has one entry per encoder, which are one
    embedding. Of a file with a tensor for each of several tokens, `wanted` is one of them.

    Raises ValueError, naming what there is, where `wanted` is none of it or does not settle which.
    """
    if is_bundle(tensors):
        return Part(_bundle(path, tensors, wanted))
    listed = [LISTED.fullmatch(name) for name in tensors]
    if tensors and all(listed):
        entries: dict[str, dict[str, str]] = {}
        for match in filter(None, listed):
            entries.setdefault(match[1], {})[match[2]] = match[0]
        if not wanted and (merged := _one_per_encoder(entries, tensors)):
            return Part(merged)
        return _snapshot(path, entries, wanted)
    steps = {name: SNAPSHOT.fullmatch(name) for name in tensors}
    if len(tensors) > 1 and all(steps.values()):
        ordered = sorted(tensors, key=lambda name: int(steps[name][1]))  # type: ignore[index]
        return _snapshot(path, {name: {name: name} for name in ordered}, wanted)
    if wanted and wanted in tensors:
        return Part({wanted: wanted})
    if wanted:
        raise ValueError(f"{path} is one embedding and carries no {wanted!r}; leave the name in the LoRA empty.")
    return Part({name: name for name in tensors})


def _bundle(path: Path, names: Iterable[str], wanted: str) -> dict[str, str]:
    bundles: dict[str, dict[str, str]] = {}
    for match in filter(None, map(BUNDLED.fullmatch, names)):
        bundles.setdefault(match[1], {})[match[2]] = match[0]
    if wanted in bundles:
        return bundles[wanted]
    if len(bundles) == 1 and not wanted:
        return next(iter(bundles.values()))
    found = ", ".join(map(repr, sorted(bundles))) or "none that can be read"
    raise ValueError(
        f"{path} is a LoRA that carries the embeddings {found}; "
        + (f"{wanted!r} is not one of them. " if wanted else "")
        + "Say which of them to load by its name in the LoRA."
    )


def _one_per_encoder(
    entries: Mapping[str, Mapping[str, str]], tensors: Mapping[str, TensorInfo]
) -> dict[str, str] | None:
    """The entries as one embedding, where no encoder is in two of them."""
    seen: set[object] = set()
    for names in entries.values():
        own = {named_encoder(name) or tensors[full].shape[-1:] for name, full in names.items()}
        if seen & own:
            return None
        seen |= own
    merged: dict[str, str] = {}
    for names in entries.values():
        # One placeholder word may name a tensor in each entry.
        merged |= {full if name in merged else name: full for name, full in names.items()}
    return merged


def _snapshot(path: Path, entries: Mapping[str, Mapping[str, str]], wanted: str) -> Part:
    if wanted and wanted not in entries:
        raise ValueError(
            f"{path} holds {len(entries)} snapshots and none is called {wanted!r}; choose {_some(entries)}, "
            "or leave the name empty for the last."
        )
    chosen = wanted or list(entries)[-1]
    others = [name for name in entries if name != chosen]
    note = {SNAPSHOT_NOTE: f"{chosen} of {len(entries)}; the others are {_some(others)}"} if others else {}
    return Part(entries[chosen], note)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed) if len(listed) <= 8 else f"{', '.join(listed[:4])} ... {', '.join(listed[-2:])}"
