"""The two files that diffusers' SDXL script and kunheek/dti write: one per text encoder, picked as one."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"learned_embeds(?P<second>_2)?(?P<steps>-steps-\d+)?")
SECOND_HALF = re.compile(r"(?:(?<=[/\\])|^)learned_embeds_2(?=(?:-steps-\d+)?\.\w+$)")
FIRST, SECOND = "learned_embeds.safetensors", "learned_embeds_2.safetensors"


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that belong to one embedding: `path`, or the pair that `path` is one of, CLIP-L's first."""
    match = NAME.fullmatch(path.stem)
    if match is None:
        return (path,)
    steps = match["steps"] or ""
    pair = tuple(path.with_name(f"learned_embeds{part}{steps}{path.suffix}") for part in ("", "_2"))
    return pair if all(file.is_file() for file in pair) else (path,)


def first_half(file: str) -> str:
    """The name of the first half where `file` (folders with / or \\) is a second one; else `file`."""
    return SECOND_HALF.sub("learned_embeds", file)
