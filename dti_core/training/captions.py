"""What stands around the concept in a training caption: `{}` is where its vectors go."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

# Textual Inversion's ImageNet templates, as the DTI reference uses them (src/dti/constants.py of kunheek/dti).
OBJECT_TEMPLATES = (
    "a photo of a {}",
    "a rendering of a {}",
    "a cropped photo of the {}",
    "the photo of a {}",
    "a photo of a clean {}",
    "a photo of a dirty {}",
    "a dark photo of the {}",
    "a photo of my {}",
    "a photo of the cool {}",
    "a close-up photo of a {}",
    "a bright photo of the {}",
    "a cropped photo of a {}",
    "a photo of the {}",
    "a good photo of the {}",
    "a photo of one {}",
    "a close-up photo of the {}",
    "a rendition of the {}",
    "a photo of the clean {}",
    "a rendition of a {}",
    "a photo of a nice {}",
    "a good photo of a {}",
    "a photo of the nice {}",
    "a photo of the small {}",
    "a photo of the weird {}",
    "a photo of the large {}",
    "a photo of a cool {}",
    "a photo of a small {}",
)

# The original list has 19 entries, of which "cropped" and "close-up" appear twice.
STYLE_TEMPLATES = (
    "a painting in the style of {}",
    "a rendering in the style of {}",
    "a cropped painting in the style of {}",
    "the painting in the style of {}",
    "a clean painting in the style of {}",
    "a dirty painting in the style of {}",
    "a dark painting in the style of {}",
    "a picture in the style of {}",
    "a cool painting in the style of {}",
    "a close-up painting in the style of {}",
    "a bright painting in the style of {}",
    "a good painting in the style of {}",
    "a rendition in the style of {}",
    "a nice painting in the style of {}",
    "a small painting in the style of {}",
    "a weird painting in the style of {}",
    "a large painting in the style of {}",
)


# Where vectors go: `{}` for all of them, `{2:4}` for those from 2 on and before 4, where several concepts are trained
# together and each has its own. `{zeros:3}` is for so many vectors of zeros.
SLOT = re.compile(r"\{(?:([0-9]+):([0-9]+)|zeros:([0-9]+))?\}")
# Where a person names the concept: `{}` for the image's own, `{mug}` for another one.
NAME = re.compile(r"\{([^{}]*)\}")


def slots(caption: str, n_vectors: int, zeros: bool = False) -> dict[str, range]:
    """The slots of a caption, as they are written, and which of the `n_vectors` go there.

    zeros: whether the text encoder reads vectors of zeros; their rows are those behind the `n_vectors`.

    Raises ValueError for vectors that there are not.
    """
    found = {}
    for slot in SLOT.finditer(caption):
        if slot[3] is not None:
            if not zeros:
                raise ValueError(f"zero_pad is for SANA; this model's text encoders have no use for {caption!r}.")
            found[slot[0]] = range(n_vectors, n_vectors + int(slot[3]))
            continue
        rows = range(n_vectors) if slot[1] is None else range(int(slot[1]), int(slot[2]))
        if rows.stop > n_vectors or not rows:
            raise ValueError(f"the caption {caption!r} has {slot[0]}, and there are {n_vectors} vectors.")
        found[slot[0]] = rows
    return found


def behind_zeros(caption: str, count: int) -> str:
    """The caption with `count` vectors of zeros in front."""
    return f"{{zeros:{count}}}{caption}" if count else caption


def embedding_alone(caption: str) -> str:
    """What is left of a caption without its words."""
    return " ".join(slot[0] for slot in SLOT.finditer(caption))


def with_rows(captions: Sequence[str], name: str, rows: Mapping[str, range]) -> tuple[str, ...]:
    """Captions of an image of the concept `name` for a run of several, with the vectors of each that they name.

    rows: of each concept by its name. Raises ValueError where a caption names none, one twice, or another.
    """
    return tuple(_with_rows(caption, name, rows) for caption in captions)


def with_names(captions: Sequence[str], own: str, names: Collection[str]) -> tuple[str, ...]:
    """Captions of an image of the concept `own` with the name of each concept in its braces.

    names: of all concepts of the run. Raises ValueError where a caption names none, one twice, or another.
    """
    for caption in captions:
        _check_named(caption, own, names)
    return tuple(NAME.sub(lambda slot: f"{{{slot[1] or own}}}", caption) for caption in captions)


def beside_class_word(captions: Sequence[str], word: str, slot: str = "{}") -> tuple[str, ...]:
    """The captions with `word` behind the concept, "a {} dog", where it does not stand there already.

    slot: how captions write the concept.
    """
    word = " ".join(word.split())
    followed = re.compile(re.escape(slot) + r"\s+" + re.escape(word) + r"(?!\w)", re.IGNORECASE)
    return tuple(text if followed.search(text) else text.replace(slot, f"{slot} {word}") for text in captions)


def _with_rows(caption: str, own: str, rows: Mapping[str, range]) -> str:
    _check_named(caption, own, rows)
    return NAME.sub(lambda slot: "{{{0.start}:{0.stop}}}".format(rows[slot[1] or own]), caption)


def _check_named(caption: str, own: str, names: Collection[str]) -> None:
    named = [name or own for name in NAME.findall(caption)]
    if strange := [name for name in named if name not in names]:
        raise ValueError(f"the caption {caption!r} names {strange[0]!r}; the concepts are {', '.join(names)}.")
    if not named or len(set(named)) < len(named):
        raise ValueError(
            f"the caption {caption!r} names {', '.join(named) or 'no concept'}; it has to name one or several, each "
            "once: {} for the image's own, {name} for another."
        )


def check_captions(captions: Sequence[str]) -> None:
    """Raise ValueError unless there are captions and each has exactly one `{}`."""
    if not captions:
        raise ValueError("got no captions; give at least one, for instance 'a photo of a {}'.")
    for number, caption in enumerate(captions, start=1):
        count = caption.count("{}")
        if count != 1:
            raise ValueError(
                f"caption {number} has {count} of '{{}}': {caption!r}. Each caption needs exactly one: "
                "put '{}' where the embedding goes, as in 'a photo of a {}'."
            )
