"""An embedding at another likeness: nearer to the word that it was trained from, whose vectors the CLIP has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dti_core.dial import dial, initializer_of
from ....dti_core.embedding import ConceptEmbedding
from ..training.checks import check_concept
from ..training.text_encoder import HostTextEncoder, check_fits

if TYPE_CHECKING:
    from comfy.sd import CLIP

AS_LIKENESS = -1.0


def at_likeness(
    clip: CLIP | None, embedding: ConceptEmbedding, initializer: str, likeness: float, norm_likeness: float, name: str
) -> tuple[ConceptEmbedding, str]:
    """The embedding as it is dialled (`dti_core.dial`), and a line on it; as saved, itself and "".

    initializer: "" for the header's. norm_likeness: `AS_LIKENESS` for the same. name: where it is not as saved.

    Raises ValueError without a CLIP, without a word to go to, and for what does not fit.
    """
    norm_likeness = likeness if norm_likeness == AS_LIKENESS else norm_likeness
    if likeness == norm_likeness == 1:
        return embedding, ""
    word = initializer_of(embedding, initializer)
    if clip is None:
        raise ValueError(
            f"At a likeness below 1 the vectors of {word!r} are needed, and they are in the text encoders: connect "
            "clip, or set likeness back to 1."
        )
    check_fits(clip, embedding)
    check_concept(clip, word, 0)
    rows = HostTextEncoder(clip, clip.cond_stage_model).word_rows(word)
    dialled = dial(embedding, word, rows, likeness, norm_likeness, name)
    norm = "" if norm_likeness == likeness else f", its norm at {norm_likeness:g}"
    return dialled, f"At likeness {likeness:g} between {word!r} (0) and the file (1){norm}."
