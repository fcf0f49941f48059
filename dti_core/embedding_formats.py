"""Which text encoder each tensor of an embedding file is for, in the formats that people have.

| written by | tensors |
| --- | --- |
| this package, kohya-ss/sd-scripts, OneTrainer (SDXL) | one per encoder: `clip_l`, `clip_g`, ... |
| the same (SD 1.5, SD 2), A1111 and Forge (.safetensors) | `emb_params`; OneTrainer spells it `emp_params` |
| A1111 and Forge (.pt) | `string_to_param`, a mapping with one tensor |
| diffusers, InvokeAI, kunheek/dti | one, named by the placeholder word, often `<dog>` |
| OneTrainer (inside a LoRA) | `bundle_emb.<word>.<any of the above>` |

OneTrainer's `clip_l_out` and the like are added behind the encoder, which no prompt can do: they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .embedding_header import TensorInfo

SINGLE_KEY = "emb_params"
SINGLE_KEYS = (SINGLE_KEY, "emp_params", "string_to_param.*")
OUTPUT_SUFFIX = "_out"
ALIASES: Mapping[str, str] = {"t5": "t5xxl"}
ENCODER_KEY = re.compile(r"[a-z0-9_]+")
BUNDLED = re.compile(r"bundle_emb\.(.+?)\.(string_to_param\.\*|[a-z0-9_]+)")
CHECKPOINT_PREFIXES = ("model.", "conditioner.", "cond_stage_model.", "first_stage_model.")

# Header notes of ours.
ENCODER_NOTE = "dti.encoder"
PLACEHOLDER_NOTE = "dti.placeholder"
IGNORED_NOTE = "dti.ignored_tensors"

# Which encoder a tensor is for whose name does not say it.
ENCODER_OF_WIDTH: Mapping[int, str] = {
    768: "clip_l",
    1024: "clip_h",
    1280: "clip_g",
    2304: "gemma2_2b",
    4096: "t5xxl",
}


@dataclass(frozen=True)
class Layout:
    """Which tensor is which encoder's, by encoder key, and what was noticed on the way."""

    tensors: Mapping[str, str]
    notes: Mapping[str, str]


def recognize(path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str], bundled: str = "") -> Layout:
    """The layout of the file `path` with these tensors.

    bundled: which embedding to take from a LoRA that carries several.

    Raises ValueError, naming what was found, where it is not an embedding or `bundled` does not settle which.
    """
    names = {name: name for name in tensors}
    if any(name.startswith("bundle_emb.") for name in names):
        names = _bundle(path, names, bundled)
    elif bundled:
        raise ValueError(f"{path} is one embedding and carries no {bundled!r}; leave the name in the LoRA empty.")
    outputs = sorted(name for name in names if name.endswith(OUTPUT_SUFFIX))
    inner = {ALIASES.get(name, name): full for name, full in names.items() if name not in outputs}
    notes = {IGNORED_NOTE: ", ".join(outputs)} if outputs else {}
    if len(inner) == 1:
        ((name, full),) = inner.items()
        encoder, more = _single(path, name, tensors[full], metadata)
        return Layout({encoder: full}, {**notes, **more})
    if not _are_encoders(inner):
        raise _not_an_embedding(path, list(names))
    return Layout(inner, notes)


def _single(path: Path, name: str, info: TensorInfo, metadata: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Encoder key and notes for the only tensor of a file."""
    if _is_foreign(name):
        raise _not_an_embedding(path, [name])
    if name in ENCODER_OF_WIDTH.values():
        return name, {}
    width = info.shape[-1] if info.shape else 0
    encoder = metadata.get(ENCODER_NOTE) or ENCODER_OF_WIDTH.get(width)
    if name in SINGLE_KEYS:
        return encoder or SINGLE_KEY, {}
    if encoder is None:
        known = ", ".join(map(str, ENCODER_OF_WIDTH))
        raise ValueError(
            f"{path} is not an embedding: it has one tensor {name!r} of the shape {list(info.shape)}, and no known "
            f"text encoder has that width (known are {known}); choose another file."
        )
    return encoder, {PLACEHOLDER_NOTE: name}


def _are_encoders(names: Collection[str]) -> bool:
    return (
        not {*SINGLE_KEYS}.intersection(names)
        and all(ENCODER_KEY.fullmatch(name) for name in names)
        and any(name in ENCODER_OF_WIDTH.values() for name in names)
    )


def _bundle(path: Path, names: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Tensor names without their prefix, to the full names, of one of the embeddings in a LoRA."""
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


def _is_foreign(name: str) -> bool:
    return "lora" in name.lower() or name.startswith(CHECKPOINT_PREFIXES)


def _not_an_embedding(path: Path, names: list[str]) -> ValueError:
    return ValueError(
        f"{path} is not an embedding but {_kind(names)}. An embedding file has one tensor, or one per text encoder, "
        "as 'clip_l' and 'clip_g' of SDXL; choose such a file."
    )


def _kind(names: list[str]) -> str:
    if not names:
        return "a file without tensors"
    if any("lora" in name.lower() for name in names):
        return "a LoRA (put it into models/loras)"
    if any(name.startswith(CHECKPOINT_PREFIXES) for name in names):
        return "a checkpoint (put it into models/checkpoints)"
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"a file with the tensors {', '.join(map(repr, names[:4]))}{more}"
