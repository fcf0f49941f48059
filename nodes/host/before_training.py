"""What can be known of a training's settings before any weights are loaded or pictures encoded."""

from __future__ import annotations

from ...dti_core.embedding_name import check_embedding_name
from ...dti_core.initializer import check_initializer, check_tokens
from .text_encoder import sub_tokenizers, token_ids


def settings_objection(name: str | None, initializer: str | None) -> str | None:
    """What is wrong with these as they are typed; None for nothing, or where they come by a link."""
    try:
        if name is not None:
            check_embedding_name(name)
        if initializer is not None:
            check_initializer(initializer)
    except ValueError as error:
        return str(error)
    return None


def check_concept(clip, initializer: str, n_vectors: int) -> None:
    """Raise ValueError unless the initializer is words of the vocabulary, as many as can be learned."""
    check_initializer(initializer)
    check_tokens(initializer, token_ids(sub_tokenizers(clip), initializer), n_vectors)
