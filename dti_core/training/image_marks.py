"""By what an image is known again in the header of an embedding that was trained on it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from .fingerprints import DIGEST, digest

NOTE = "dti.images"


def image_mark(picture: Tensor) -> str:
    """Of an image `[H, W, 3]` in [0, 1], in the 8 bits that files have: the same however it is loaded."""
    return digest((picture.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)).removeprefix(DIGEST)


def image_notes(pictures: Sequence[Tensor], held_out: Collection[int] = ()) -> dict[str, str]:
    """The header entry of a run on these images; held_out: the numbers, from 1 on, of those that it only looks at."""
    marks = [image_mark(picture) for number, picture in enumerate(pictures, start=1) if number not in held_out]
    return {NOTE: json.dumps(marks)}


def trained_on(metadata: Mapping[str, str]) -> frozenset[str]:
    """The marks of the images that an embedding was trained on; empty where its header does not say."""
    try:
        marks = json.loads(metadata.get(NOTE, "[]"))
    except ValueError:
        return frozenset()
    return frozenset(mark for mark in marks if isinstance(mark, str)) if isinstance(marks, list) else frozenset()
