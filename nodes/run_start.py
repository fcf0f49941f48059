"""How the method of a run begins, and which of its vectors are whose: for one concept, or for several together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from ..dti_core.methods import Method
from ..dti_core.training import start_method, start_together
from ..dti_core.training.captions import with_rows
from ..dti_core.training.data import TrainingImage
from ..dti_core.training.pool import shares
from ..dti_core.training.validation import Validation, ValidationTogether
from .host.training.concept_files import ALL_ROWS, Vectors
from .host.training.text_encoder import HostTextEncoder
from .host.training.trained_encoders import held_rows, hold_others, name_held_rows
from .run_plan import PlannedRun

# By the place of a concept in the run, what the text encoders make of its initializer, where a method asks for it.
States = Sequence[Mapping[str, Tensor] | None]


@dataclass(frozen=True)
class Started:
    """A run before its first step.

    rows, whole: for each concept, which of the method's rows are its own, and what makes those whole, with the vectors
    of encoders that do not train. read: captions as the text encoder takes them. validation: of those of each concept.
    """

    method: Method
    rows: Sequence[slice]
    whole: Sequence[Callable[[Vectors], Vectors]]
    read: Callable[[Sequence[str]], tuple[str, ...]]
    validation: Callable[[Mapping[str, Validation]], Validation | ValidationTogether]


def start_alone(
    one: Mapping[str, Any],
    planned: PlannedRun,
    text_encoder: HostTextEncoder,
    pool: Sequence[TrainingImage],
    states: States,
) -> Started:
    """Of one concept, whose captions write it {}."""
    hold_others(text_encoder, planned.encoders, planned.config.initializer, one["start_from"])
    method = start_method(planned.config, text_encoder, states[0], one["start_from"], one["prior"])
    return Started(method, [ALL_ROWS], [text_encoder.with_held], tuple, lambda by_name: by_name[""])


def start_of_several(
    one: Mapping[str, Any],
    planned: PlannedRun,
    text_encoder: HostTextEncoder,
    pool: Sequence[TrainingImage],
    states: States,
) -> Started:
    """Of concepts that captions call by their names in braces."""
    initializers = {concept.called: concept.initializer for concept in planned.concepts}
    held = held_rows(text_encoder, planned.encoders, initializers)
    given = {name: state for name, state in zip(initializers, states, strict=True) if state is not None}
    method = start_together(planned.config, initializers, text_encoder, given, shares(pool, initializers))
    name_held_rows(text_encoder, held, method.rows)
    return Started(
        method,
        [slice(rows.start, rows.stop) for rows in method.rows.values()],
        [partial(text_encoder.with_held, held=own) for own in held.values()],
        lambda captions: with_rows(captions, "", method.rows),
        ValidationTogether,
    )
