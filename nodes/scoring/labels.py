"""Names of embeddings where there is little room."""

from __future__ import annotations

import re
from collections.abc import Sequence

STEP = re.compile(r"(.+)-(step[0-9]+)(_[0-9]+)?")
RESULT = "result"


def short_labels(names: Sequence[str]) -> list[str]:
    """Steps of one run without its name, and its result; other names as they are."""
    found = [STEP.fullmatch(name) for name in names]
    runs = {match[1] for match in found if match is not None}
    if len(runs) != 1:
        return list(names)
    (run,) = runs
    return [
        RESULT if name == run else name if match is None else match[2] + (match[3] or "")
        for name, match in zip(names, found, strict=True)
    ]
