"""What is asked of embeddings: prompts, and the word that they are measured against."""

from __future__ import annotations

from collections.abc import Sequence

from ...dti_core.embedding import ConceptEmbedding
from ...dti_core.scoring.prompts import PRESETS, spread_prompts
from ...dti_core.training.captions import check_captions


def prompts_of(preset: str, typed: str, count: int) -> tuple[str, ...]:
    """The lines that are typed, or so many of a preset's prompts. Raises ValueError for lines without {}."""
    own = tuple(line.strip() for line in typed.splitlines() if line.strip())
    if not own:
        return spread_prompts(PRESETS[preset], count)
    try:
        check_captions(own)
    except ValueError as error:
        raise ValueError(f"own_prompts: {error}") from None
    return own


def class_word(embeddings: Sequence[ConceptEmbedding], typed: str) -> str:
    """What embeddings are measured against: the word that is typed, or the one that all of them were trained from.

    Raises ValueError where there is none or several.
    """
    if typed.strip():
        return " ".join(typed.split())
    words = sorted({each.metadata.get("dti.initializer", "") for each in embeddings})
    if len(words) == 1 and words[0]:
        return words[0]
    said = ", ".join(map(repr, filter(None, words))) or "no word at all"
    raise ValueError(
        f"class_word is empty, and the embeddings name {said} as the one that they were trained from. Write an "
        "ordinary word for what your images show: 'dog', 'cup', 'painting'."
    )
