"""What can be known of a training's settings before any weights are loaded or images encoded."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from ....dti_core.training.initializer import check_tokens
from ...prompt_name import check_embedding_name
from ..encoders import sub_tokenizers
from .text_encoder import token_ids

if TYPE_CHECKING:
    from comfy.sd import CLIP

# What a prompt reads as weights, groups and calls.
SYNTAX = re.compile(r"[()\[\]{}<>:|\\]")


def settings_objection(name: str | None, initializer: str | None) -> str | None:
    """What is wrong with these as they are typed; None for nothing, or where they come by a link."""
    try:
        if name is not None:
            check_embedding_name(name)
        if initializer is not None:
            _check_words(initializer)
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
