"""Captions as they are typed into a node or listed by a loader."""

from __future__ import annotations

from collections.abc import Sequence

from ..dti_core.training.captions import OBJECT_TEMPLATES, check_captions

# A row of the picture each.
MOST_PROMPTS = 8


def captions_by_picture(typed: Sequence[str], templates: Sequence[str], n_pictures: int) -> tuple[tuple[str, ...], ...]:
    """What may be said of each image.

    A text is a list of captions, one a line; an empty one stands for `templates`. One text fits any image,
    several are one for each image. Raises ValueError for another number of texts, and for captions that
    `check_captions` refuses.
    """
    texts = [tuple(line.strip() for line in text.splitlines() if line.strip()) for text in typed or [""]]
    by_text = tuple(lines or tuple(templates) for lines in texts)
    if len(by_text) == 1 or not any(texts):
        check_captions(by_text[0])
        return by_text[:1] * n_pictures
    if len(by_text) != n_pictures:
        raise ValueError(
            f"got {len(by_text)} captions for {n_pictures} images; give one caption per image, "
            "or one text with a caption per line for all of them."
        )
    for number, captions in enumerate(by_text, start=1):
        try:
            check_captions(captions)
        except ValueError as error:
            raise ValueError(f"image {number}: {error}") from None
    return by_text


def prompts_of(typed: str, templates: Sequence[str]) -> tuple[str, ...]:
    """The prompts of previews, one a line; empty for the first of `templates`. Raises ValueError for bad ones."""
    prompts = tuple(line.strip() for line in typed.splitlines() if line.strip()) or (templates[0],)
    if len(prompts) > MOST_PROMPTS:
        raise ValueError(f"preview_prompts has {len(prompts)} lines; give {MOST_PROMPTS} at most.")
    try:
        check_captions(prompts)
    except ValueError as error:
        raise ValueError(f"preview_prompts: {error}") from None
    return prompts


def prompts_objection(typed: str | None) -> str | None:
    """What is wrong with prompts as they are typed; None for nothing, or where they come by a link."""
    try:
        prompts_of(typed or "", OBJECT_TEMPLATES)
    except ValueError as error:
        return str(error)
    return None
