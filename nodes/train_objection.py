"""What is wrong with the settings of a run as they are typed."""

from __future__ import annotations

from typing import Any

from ..dti_core.methods import Options
from ..dti_core.training.validation import EVERY, check_validation
from .captions import prompts_objection


def run_objection(
    noise_start: float | None,
    noise_end: float | None,
    preview_prompts: str | None,
    held_out: int | None,
    patience: int | None,
) -> str | None:
    """A sentence, or None for nothing. What comes by a link is None, and is not known yet."""
    noise: dict[str, Any] = {"noise_start": noise_start, "noise_end": noise_end}
    try:
        Options(**{key: value for key, value in noise.items() if value is not None})
        if held_out is not None and patience is not None:
            check_validation(held_out, EVERY, patience)
    except ValueError as error:
        return str(error)
    return prompts_objection(preview_prompts)
