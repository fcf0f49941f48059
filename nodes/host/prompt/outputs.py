"""What a node hands on for an embedding that may be in memory only: a CLIP that knows it, and its trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_execution.graph_utils import ExecutionBlocker

from ....dti_core.embedding import ConceptEmbedding
from ...prompt_name import trigger
from ..embeddings.folder import prompt_reads
from ..encoders import sub_tokenizers
from ..training.text_encoder import check_fits
from .clip import clip_with_embedding
from .trigger_wiring import prompts_that_miss_it

if TYPE_CHECKING:
    from comfy.sd import CLIP


def prompt_outputs(clip: CLIP | None, embedding: ConceptEmbedding) -> tuple[object, object]:
    """The CLIP and the trigger text by which prompts understand an embedding that is in memory.

    Without a CLIP there is neither; whatever is connected to the trigger then stops with a message. Raises
    ValueError where the embedding does not fit the CLIP, and where a prompt gets the trigger but not the CLIP.
    """
    if clip is None:
        return None, no_trigger(
            f"No prompt knows the embedding {embedding.name!r} yet: connect clip to the node that this trigger comes "
            "from, and that node's clip to the prompt."
        )
    check_fits(clip, embedding)
    missing = prompts_that_miss_it()
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} would not know the embedding {embedding.name!r}: it gets this node's trigger, "
            "but its clip does not come from this node. Connect this node's clip output to it, or save it with "
            "Save DTI Embedding and take the trigger from there."
        )
    return clip_with_embedding(clip, embedding)


def file_outputs(clip: CLIP | None, embedding: ConceptEmbedding) -> tuple[object, object]:
    """The same for an embedding from a file, which keeps its own name where every prompt reads it alike."""
    if not prompt_reads(embedding) or (clip is not None and deaf_encoders(clip)):
        return prompt_outputs(clip, embedding)
    if clip is None:
        return None, trigger(embedding.name)
    check_fits(clip, embedding)
    return clip.clone(), trigger(embedding.name)


def deaf_encoders(clip: CLIP) -> list[str]:
    """Text encoders whose tokenizer looks for no files: to them `embedding:` and a name are words like any other."""
    return [key for key, tokenizer in sub_tokenizers(clip).items() if not tokenizer.embedding_directory]


def no_trigger(message: str) -> object:
    """In the place of a trigger that calls nothing: whatever is connected to it stops with the message."""
    return ExecutionBlocker(message)
