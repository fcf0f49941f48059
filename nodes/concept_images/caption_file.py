"""Caption files as other trainers have them, turned into captions with `{}` where the embedding goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from .concept_folder import PictureFile


def placeholders(text: str) -> list[str]:
    """What may stand for the concept: words separated by commas, the longest first."""
    return sorted((" ".join(one.split()) for one in text.split(",") if one.strip()), key=len, reverse=True)


def read_captions(picture: PictureFile, stand_ins: Sequence[str]) -> str:
    """The captions of an image, one a line with `{}` in each; "" where there is none.

    Raises ValueError with the file's name.
    """
    found = {}
    for file in picture.captions:
        name = str(PurePosixPath(picture.name).with_name(file.name))
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not text in UTF-8; open it in an editor and save it so.") from error
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            found[name] = "\n".join(_with_slot(line, stand_ins, name) for line in lines)
    if len(set(found.values())) > 1:
        raise ValueError(f"{' and '.join(found)} belong to one image and differ; keep one of them.")
    return next(iter(found.values()), "")


def _with_slot(line: str, stand_ins: Sequence[str], file: str) -> str:
    """`line` with `{}` for the first of `stand_ins` that occurs in it, in braces or not; as it is where it has its
    `{}`. What else stands in braces is another concept's name."""
    in_braces = "|".join(["", *map(re.escape, stand_ins)])
    for word, pattern in [("{}", rf"\{{(?:{in_braces})\}}"), *((word, _pattern(word)) for word in stand_ins)]:
        named, count = re.subn(pattern, "{}", line, flags=re.IGNORECASE)
        if count == 1:
            return named
        if count > 1:
            raise ValueError(
                f"{file} has {word!r} {count} times: {line!r}. The embedding goes into a caption once; "
                "write {} there."
            )
    wanted = " or ".join(repr(word) for word in stand_ins) or "nothing, as placeholder is empty"
    raise ValueError(
        f"{file} does not say where the embedding goes: {line!r}. Looked for '{{}}' or {wanted}. "
        "Write into placeholder what your captions call the subject, such as 'ohwx dog' or 'dog'. "
        "An empty caption file means templates."
    )


def _pattern(word: str) -> str:
    """Matches `word` where it is no part of another and not in braces, with any space between its parts."""
    return r"(?<!\w)" + r"\s+".join(re.escape(part) for part in word.split()) + r"(?!\w)(?![^{}]*\})"
