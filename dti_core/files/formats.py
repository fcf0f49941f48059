"""Which text encoder each tensor of an embedding file is for, in the formats that people have.

| written by | tensors |
| --- | --- |
| this package, kohya-ss/sd-scripts, OneTrainer (SDXL) | one per encoder: `clip_l`, `clip_g`, ... |
| the same (SD 1.5, SD 2), A1111 and Forge (.safetensors) | `emb_params`; OneTrainer spells it `emp_params` |
| A1111 and Forge (.pt) | `string_to_param`, a mapping with one tensor |
| diffusers, InvokeAI, kunheek/dti | one, named by the placeholder token, often `<dog>` |
| cog-sdxl (.pti) and others | one per encoder under any name: known by their widths |
| diffusers with several tokens | one per token, `<s0>`, `<s1>`: one embedding of several vectors |
| OneTrainer (inside a LoRA) | `bundle_emb.<token>.<any of the above>` |

OneTrainer's `clip_l_out` and the like are added behind the encoder, which no prompt can do: they are left out, and
so is what cannot be a vector, as a step counter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..embedding import ConceptEmbedding
from .encoder_keys import CLIP_OF_WIDTH, ENCODER_OF_WIDTH, named_encoder
from .header import TensorInfo, is_vectors
from .modelspec import model_name
from .parts import SNAPSHOT_NOTE, chosen_part

SINGLE_KEY = "emb_params"
SINGLE_KEYS = (SINGLE_KEY, "emp_params", "string_to_param.*")
OUTPUT_SUFFIX = "_out"
ENCODER_KEY = re.compile(r"[a-z0-9_]+")
# Not "lora" alone, which is in words as <flora>.
LORA = re.compile(r"lora_|lora[._](?:up|down|a|b)\b|\.lora\b|\blora\.", re.IGNORECASE)
CHECKPOINT_PREFIXES = ("model.", "conditioner.", "cond_stage_model.", "first_stage_model.")
WEIGHTS = (".weight", ".bias")

# Header notes of ours.
ENCODER_NOTE = "dti.encoder"
PLACEHOLDER_NOTE = "dti.placeholder"
TOKENS_NOTE = "dti.tokens"
IGNORED_NOTE = "dti.ignored_tensors"
RENAMED_NOTE = "dti.read_by_width"

# What a person should know of how a file was read.
REMARKS: Mapping[str, str] = {
    SNAPSHOT_NOTE: "Of several snapshots this is {}.",
    TOKENS_NOTE: "These tokens were read as one embedding: {}.",
    RENAMED_NOTE: "Tensors were read by their width: {}.",
    IGNORED_NOTE: "Left out: {}.",
}


@dataclass(frozen=True)
class Layout:
    """Which tensors are which encoder's, in the order of their vectors, and what was noticed on the way."""

    tensors: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, str]


def recognize(path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str], part: str = "") -> Layout:
    """The layout of the file `path` with these tensors.

    part: which embedding to take of a file that carries several.

    Raises ValueError, naming what was found, where it is not an embedding or `part` does not settle which.
    """
    chosen = chosen_part(path, tensors, part)
    names = dict(chosen.names)
    ignored = [name for name in names if name.endswith(OUTPUT_SUFFIX)]
    inner = {name: tensors[full] for name, full in names.items() if name not in ignored}
    if not inner or any(map(_is_foreign, inner)):
        raise _not_an_embedding(path, list(names))
    other = [name for name, info in inner.items() if not _is_named(name) and not is_vectors(info)]
    if len(other) < len(inner):
        ignored += other
        inner = {name: info for name, info in inner.items() if name not in other}
    found, notes = _encoders(path, inner, metadata)
    used = {name for own in found.values() for name in own}
    ignored += [name for name in inner if name not in used]
    if ignored:
        notes[IGNORED_NOTE] = ", ".join(sorted(ignored))
    layout = {key: tuple(names[name] for name in own) for key, own in found.items()}
    return Layout(layout, {**chosen.notes, **notes})


def reading(embedding: ConceptEmbedding) -> str:
    """What was read, in a line, and what a person should know of how."""
    counts = ", ".join(f"{key} {count} x {embedding.widths[key]}" for key, count in embedding.counts.items())
    remarks = [text.format(embedding.metadata[note]) for note, text in REMARKS.items() if note in embedding.metadata]
    return "\n".join([f"{model_name(embedding.widths)}: {counts}", *remarks])


def _encoders(
    path: Path, inner: Mapping[str, TensorInfo], metadata: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Tensor names by encoder key, and notes."""
    keys = {name: key for name in inner if (key := named_encoder(name)) is not None}
    if keys:
        mistaken = _mistaken_clips(keys, inner)
        notes = {RENAMED_NOTE: ", ".join(f"{name} is {key}'s" for name, key in mistaken.items())} if mistaken else {}
        # Encoders that came after this was written keep their own names.
        later = {name: name for name in inner if ENCODER_KEY.fullmatch(name) and not _is_named(name)}
        found: dict[str, tuple[str, ...]] = {}
        for name, key in {**keys, **mistaken, **later}.items():
            found.setdefault(key, (name,))
        return found, notes
    if len(inner) == 1:
        ((name, info),) = inner.items()
        return _single(path, name, info, metadata)
    return _by_width(path, inner)


def _single(
    path: Path, name: str, info: TensorInfo, metadata: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Encoder key and notes for the only tensor of a file, whose name is no encoder's."""
    width = info.shape[-1] if info.shape else 0
    encoder = metadata.get(ENCODER_NOTE) or ENCODER_OF_WIDTH.get(width)
    if name in SINGLE_KEYS:
        return {encoder or SINGLE_KEY: (name,)}, {}
    if encoder is None:
        known = ", ".join(map(str, ENCODER_OF_WIDTH))
        raise ValueError(
            f"{path} is not an embedding: it has one tensor {name!r} of the shape {list(info.shape)}, and no known "
            f"text encoder has that width (known are {known}); choose another file."
        )
    return {encoder: (name,)}, {PLACEHOLDER_NOTE: name}


def _by_width(path: Path, inner: Mapping[str, TensorInfo]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Several tensors under names that say nothing; those of one width are one embedding of several vectors."""
    found: dict[str, tuple[str, ...]] = {}
    # safetensors sorts by text, which puts <s10> before <s2>.
    for name in sorted(inner, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)]):
        encoder = ENCODER_OF_WIDTH.get(inner[name].shape[-1] if inner[name].shape else 0)
        if encoder is None:
            raise _not_an_embedding(path, list(inner))
        found[encoder] = (*found.get(encoder, ()), name)
    tokens = next((own for own in found.values() if len(own) > 1), ())
    return found, {TOKENS_NOTE: ", ".join(tokens)} if tokens else {}


def _mistaken_clips(named: Mapping[str, str], inner: Mapping[str, TensorInfo]) -> dict[str, str]:
    """CLIP tensors that another CLIP's name stands on, to their own encoder; none where widths do not settle it."""
    clips = {name: CLIP_OF_WIDTH.get(inner[name].shape[-1]) for name, key in named.items()
             if key in CLIP_OF_WIDTH.values() and inner[name].shape}  # fmt: skip
    if len(set(clips.values())) < len(clips):
        return {}
    return {name: key for name, key in clips.items() if key is not None and key != named[name]}


def _is_named(name: str) -> bool:
    return named_encoder(name) is not None or name in SINGLE_KEYS


def _is_foreign(name: str) -> bool:
    return bool(LORA.search(name)) or name.startswith(CHECKPOINT_PREFIXES) or name.endswith(WEIGHTS)


def _not_an_embedding(path: Path, names: list[str]) -> ValueError:
    return ValueError(
        f"{path} is not an embedding but {_kind(names)}. An embedding file has one tensor, or one per text encoder, "
        "as 'clip_l' and 'clip_g' of SDXL; choose such a file."
    )


def _kind(names: Collection[str]) -> str:
    if not names:
        return "a file without tensors"
    if any(LORA.search(name) for name in names):
        return "a LoRA (put it into models/loras)"
    if any(name.startswith(CHECKPOINT_PREFIXES) for name in names):
        return "a checkpoint (put it into models/checkpoints)"
    some = sorted(names)
    more = f" and {len(some) - 4} more" if len(some) > 4 else ""
    return f"a file with the tensors {', '.join(map(repr, some[:4]))}{more}"
