"""Embeddings of one family in another that has the same text encoders: SD3 without T5 has those of SDXL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comfy.sdxl_clip
from comfy.text_encoders import sd3_clip

from ...dti_core.embedding import ConceptEmbedding
from ...dti_core.files.modelspec import trained_on

if TYPE_CHECKING:
    from comfy.sd import CLIP

# By the host's module of what encodes their prompts.
FAMILIES = {comfy.sdxl_clip.__name__: "SDXL", sd3_clip.__name__: "SD3"}


def other_family(clip: CLIP, embedding: ConceptEmbedding) -> str:
    """A sentence where the file's header names one of these families and `clip` is of the other; "" elsewhere."""
    modules = (kind.__module__ for kind in type(clip.cond_stage_model).__mro__)
    reads = next((FAMILIES[module] for module in modules if module in FAMILIES), "")
    trained = trained_on(embedding.metadata)
    if not reads or trained not in FAMILIES.values() or trained == reads:
        return ""
    return (
        f"{embedding.name!r} was trained on {trained}, and this clip is of {reads}. Both have CLIP-L and CLIP-G, so "
        f"that it is read and may work; where it does not resemble enough, train it on {reads}."
    )
