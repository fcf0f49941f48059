"""What is odd about a run, said where a person looks."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..encoders import sub_tokenizers
from ..node_text import show_on_node

if TYPE_CHECKING:
    from comfy.sd import CLIP

log = logging.getLogger(__name__)

CALL = re.compile(r"embedding:[^\s():]+", re.IGNORECASE)


def training_notes(clip: CLIP, captions: Sequence[Sequence[str]], node_id: str, known: Sequence[str] = ()) -> list[str]:
    """Find what is odd, log it, show it on the node, and return it for the text that the node ends with.

    captions: of each image. known: what is to be said anyway, of the images.
    """
    notes = [*known, *_missing_embeddings(clip, captions), *_hooks(clip)]
    for note in notes:
        log.warning("DTI: %s", note)
    if notes:
        show_on_node("\n".join(notes), node_id)
    return notes


def _missing_embeddings(clip: CLIP, captions: Sequence[Sequence[str]]) -> list[str]:
    """A sentence for each `embedding:` in a caption that the host leaves out."""
    calls = {call.rstrip(",") for texts in captions for text in texts for call in CALL.findall(text)}
    heard = {key.removeprefix("clip_") for key in sub_tokenizers(clip)}
    notes = []
    for call in sorted(calls):
        tokens = {key: windows for key, windows in clip.tokenize(call).items() if key.removeprefix("clip_") in heard}
        missing = [key for key, windows in tokens.items() if not _has_vectors(windows)]
        if missing:
            notes.append(
                f"A caption calls {call!r}, which finds nothing for the text encoder {', '.join(missing)} and is left "
                "out. Check the name, or take it out of the caption."
            )
    return notes


def _hooks(clip: CLIP) -> list[str]:
    """A sentence on what a CLIP brings for the sampler alone."""
    left_out = ["what they do to the model"] if clip.apply_hooks_to_conds else []
    left_out += ["their schedule"] if clip.use_clip_schedule else []
    if not left_out:
        return []
    return [
        "The clip carries hooks (Set CLIP Hooks). Training is with what they do to the text encoders, but without "
        f"{' and '.join(left_out)}: to train on a LoRA as a whole, use Load LoRA."
    ]


def _has_vectors(windows: Sequence[Sequence[tuple[Any, ...]]]) -> bool:
    """Whether the host's token lists hold anything but token ids."""
    return any(not isinstance(entry[0], int) for window in windows for entry in window)
