"""Encoders that an embedding has and a CLIP lacks: said on the node, the same by every node that takes a CLIP."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ....dti_core.embedding import ConceptEmbedding
from ..node_text import show_on_node
from ..training.text_encoder import unread

if TYPE_CHECKING:
    from comfy.sd import CLIP

log = logging.getLogger(__name__)


def say_unread(clip: CLIP | None, embedding: ConceptEmbedding, node_id: str) -> None:
    """Name on the node `node_id` and in the log what `clip`, where there is one, does not read."""
    if clip is not None and (rest := unread(clip, embedding)):
        log.warning("DTI: %s", rest)
        show_on_node(rest, node_id)
