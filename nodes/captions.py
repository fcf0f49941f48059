"""Captions as they are typed into a node or listed by a loader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..dti_core.training.captions import NAME, OBJECT_TEMPLATES, check_captions, with_names

# A row of the picture each.
MOST_PROMPTS = 8


def captions_by_picture(
    typed: Sequence[str],
    templates: Sequence[str],
    n_pictures: int,
    check: Callable[[Sequence[str]], object] = check_captions,
) -> tuple[tuple[str, ...], ...]:
    """What may be said of each image.

    A text is a list of captions, one a line; an empty one stands for `templates`. One text fits any image,
    several are one for each image. Raises ValueError for another number of texts, and for captions that
    `check` refuses.
    """
    texts = [tuple(line.strip() for line in text.splitlines() if line.strip()) for text in typed or [""]]
    by_text = tuple(lines or tuple(templates) for lines in texts)
    if len(by_text) == 1 or not any(texts):
        check(by_text[0])
        return by_text[:1] * n_pictures
    if len(by_text) != n_pictures:
        raise ValueError(
            f"got {len(by_text)} captions for {n_pictures} images; give one caption per image, "
            "or one text with a caption per line for all of them."
        )
    for number, captions in enumerate(by_text, start=1):
        try:
            check(captions)
        except ValueError as error:
            raise ValueError(f"image {number}: {error}") from None
    return by_text


def prompts_of(typed: str, templates: Sequence[str]) -> tuple[str, ...]:
    """The prompts of previews, one a line; empty for the first of `templates`. Raises ValueError for bad ones."""
    prompts = _lines(typed) or (templates[0],)
    try:
        check_captions(prompts)
    except ValueError as error:
        raise ValueError(f"preview_prompts: {error}") from None
    return prompts


def prompts_of_several(typed: str, templates: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The prompts of previews of a run of several concepts, whose names stand in braces.

    A line with `{}` is one for each concept that it does not name besides. Empty: the first template of each of the
    first few.

    templates: by the concept's name. Raises ValueError for bad lines, and where they come to more than there is room
    for.
    """
    lines = _lines(typed)
    if not lines:
        return tuple(
            prompt
            for own, texts in list(templates.items())[:MOST_PROMPTS]
            for prompt in with_names(texts[:1], own, [own])
        )
    try:
        prompts = [prompt for line in lines for prompt in _for_each(line, list(templates))]
    except ValueError as error:
        raise ValueError(f"preview_prompts: {error}") from None
    if len(prompts) > MOST_PROMPTS:
        raise ValueError(
            f"preview_prompts come to {len(prompts)} for the {len(templates)} concepts, and there is room for "
            f"{MOST_PROMPTS}: a line with {{}} is one for each. Write {{{next(iter(templates))}}} for one of them."
        )
    return tuple(prompts)


def prompts_objection(typed: str | None) -> str | None:
    """What is wrong with prompts as they are typed; None for nothing, or where they come by a link."""
    try:
        prompts_of(typed or "", OBJECT_TEMPLATES)
    except ValueError as error:
        return str(error)
    return None


def prompts_of_several_objection(typed: str | None) -> str | None:
    """As `prompts_objection`, where the names of the concepts are not known yet."""
    try:
        nameless = [line for line in _lines(typed or "") if not NAME.search(line)]
    except ValueError as error:
        return str(error)
    if nameless:
        return f"preview_prompts: {nameless[0]!r} names no concept. Write {{}} for each, or the name of one in braces."
    return None


def _lines(typed: str) -> tuple[str, ...]:
    prompts = tuple(line.strip() for line in typed.splitlines() if line.strip())
    if len(prompts) > MOST_PROMPTS:
        raise ValueError(f"preview_prompts has {len(prompts)} lines; give {MOST_PROMPTS} at most.")
    return prompts


def _for_each(line: str, names: Sequence[str]) -> list[str]:
    named = NAME.findall(line)
    own = [name for name in names if name not in named] if "" in named else names[:1]
    return [prompt for one in own or names[:1] for prompt in with_names([line], one, names)]
