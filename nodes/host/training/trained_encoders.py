"""Which of a model's text encoders train; in the others the concept stays at the initializer's own vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ....dti_core.embedding import ConceptEmbedding
from ..encoders import sub_tokenizers
from .text_encoder import HostTextEncoder

if TYPE_CHECKING:
    from comfy.sd import CLIP

# Where CLIP is beside T5 (SD3, Flux.1), most of what an embedding does comes through CLIP, and nothing has to go back
# through T5-XXL's 4.7 billion weights; so that is what "auto" is there.
CHOICES = ("auto", "all", "CLIP only", "T5 or language model only")


def trained_encoders(clip: CLIP, choice: str) -> list[str]:
    """The keys of the encoders that train. Raises ValueError where that is none."""
    keys = list(sub_tokenizers(clip))
    clips = [key for key in keys if key.startswith("clip_")]
    if choice not in CHOICES:
        raise ValueError(f"encoders is {choice!r}; choose one of {', '.join(CHOICES)}.")
    if choice == "all" or (choice == "auto" and not clips):
        return keys
    chosen = [key for key in keys if key not in clips] if choice == CHOICES[-1] else clips
    if not chosen:
        raise ValueError(
            f"encoders is {choice!r}, but this model's text encoders are {', '.join(keys)}. Set it to 'auto'."
        )
    return chosen


def hold_others(
    text_encoder: HostTextEncoder, trained: Sequence[str], initializer: str, start_from: ConceptEmbedding | None = None
) -> None:
    """Keep all but these encoders at what `start_from` has for them, or else at the initializer's vectors.

    So they read in training what they read of the file later.
    """
    others = [key for key in text_encoder.vocabularies if key not in trained]
    if not others:
        return
    rows: Mapping[str, Tensor] = text_encoder.word_rows(initializer)
    given = {} if start_from is None else start_from.vectors
    text_encoder.hold({key: given.get(key, rows[key]) for key in others})


def held_rows(
    text_encoder: HostTextEncoder, trained: Sequence[str], initializers: Mapping[str, str]
) -> dict[str, dict[str, Tensor]]:
    """By name of a concept, the vectors of its initializer in the encoders that do not train, which are then held."""
    others = [key for key in text_encoder.vocabularies if key not in trained]
    words = {name: text_encoder.word_rows(word) for name, word in initializers.items()}
    held = {name: {key: rows[key] for key in others} for name, rows in words.items()}
    text_encoder.hold({key: torch.cat([own[key] for own in held.values()]) for key in others})
    return held


def name_held_rows(
    text_encoder: HostTextEncoder, held: Mapping[str, Mapping[str, Tensor]], rows: Mapping[str, range]
) -> None:
    """Let captions that name a concept by its rows in the encoders that train find those that are held for it."""
    slots: dict[str, dict[range, range]] = {}
    for key in text_encoder.held:
        start, slots[key] = 0, {}
        for name, own in held.items():
            slots[key][rows[name]] = range(start, start + len(own[key]))
            start += len(own[key])
    text_encoder.hold(text_encoder.held, slots)


def encoder_notes(text_encoder: HostTextEncoder) -> dict[str, str]:
    """For a file's header: which encoders its vectors were not trained for, and how long vectors are meant.

    In Gemma a prompt reads rows of the table 48 times as long; files have them as the table has, whoever makes them
    longer (see `row_scale`).
    """
    held, keys = ", ".join(text_encoder.held), (*text_encoder.vocabularies, *text_encoder.held)
    notes = {"dti.held": held} if held else {}
    return notes if all(key.startswith("clip_") for key in keys) else {**notes, "dti.rows": "token table"}
