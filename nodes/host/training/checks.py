"""What can be known of a training's settings before any weights are loaded or images encoded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ....dti_core.methods import Options
from ....dti_core.training.initializer import check_tokens
from ....dti_core.training.validation import EVERY, check_validation
from ...prompt_name import check_embedding_name
from ..encoders import sub_tokenizers
from .text_encoder import token_ids

if TYPE_CHECKING:
    from comfy.sd import CLIP

# What a prompt reads as weights, groups and calls.
SYNTAX = re.compile(r"[()\[\]{}<>:|\\]")


def settings_objection(
    name: str | None, initializer: str | None, options: Mapping[str, Any] | None = None
) -> str | None:
    """What is wrong with these as they are typed; None for nothing, or where they come by a link.

    options: fields of `Options`.
    """
    try:
        if name is not None:
            check_embedding_name(name)
        if initializer is not None:
            _check_words(initializer)
        Options(**{key: value for key, value in (options or {}).items() if value is not None})
    except ValueError as error:
        return str(error)
    return None


def validation_objection(held_out: int | None, patience: int | None) -> str | None:
    """What is wrong with these as they are typed; None for nothing, or where one comes by a link."""
    if held_out is None or patience is None:
        return None
    try:
        check_validation(held_out, EVERY, patience)
    except ValueError as error:
        return str(error)
    return None


def check_concept(clip: CLIP, initializer: str, n_vectors: int, keys: Collection[str] | None = None) -> None:
    """Raise ValueError unless the initializer is words of the vocabulary, as many as can be trained.

    keys: of the text encoders that train; None for all.
    """
    _check_words(initializer)
    ids = token_ids(sub_tokenizers(clip), initializer)
    check_tokens(initializer, {key: own for key, own in ids.items() if keys is None or key in keys}, n_vectors)


def _check_words(initializer: str) -> None:
    if not initializer.strip():
        check_tokens(initializer, {}, 0)
    signs = sorted(set(SYNTAX.findall(initializer)))
    if signs:
        raise ValueError(
            f"The initializer {initializer!r} has {' '.join(signs)}, which would be trained as words of their own: "
            "weights and embeddings mean nothing here. Give plain words for what the images show, such as 'dog'."
        )
