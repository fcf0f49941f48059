"""The end of a training: its result is saved, and handed on even where that fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ....dti_core.embedding import ConceptEmbedding
from ...prompt_name import trigger
from ..prompt.outputs import deaf_encoders, no_trigger
from .saving import check_reload, keep

if TYPE_CHECKING:
    from comfy.sd import CLIP

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedResult:
    """What to hand on and to say. path: None where a prompt does not read the embedding from a file."""

    embedding: ConceptEmbedding
    trigger: object
    message: str
    path: Path | None


def save_result(clip: CLIP, embedding: ConceptEmbedding, replace: bool) -> SavedResult:
    """Save what was trained. Whatever goes wrong here, hours of training are not to be lost to it."""
    wanted = embedding.name
    try:
        embedding, path = keep(embedding, replace)
        check_reload(clip, embedding)
    except Exception as error:
        log.exception("DTI: the trained embedding was not saved")
        message = (
            f"{wanted!r} is trained, but no prompt can read it yet. {error}\n"
            "It is still in memory: before you close ComfyUI, connect Save DTI Embedding to this node's embedding "
            "output, take the trigger from there, and press Run again. Nothing is trained again."
        )
        return SavedResult(embedding, no_trigger(message), message, None)
    message = f"saved to {path}"
    if embedding.name != wanted:
        message += f"\n{wanted!r} was taken while this trained"
    if deaf := deaf_encoders(clip):
        message += (
            f"\nTyping embedding:{embedding.name} is not enough with this model: its {' and '.join(deaf)} reads no "
            "embedding files. Use Load DTI Embedding, and connect both its clip and its trigger to the prompt."
        )
        return SavedResult(embedding, no_trigger(message), message, path)
    return SavedResult(embedding, trigger(embedding.name), message, path)
