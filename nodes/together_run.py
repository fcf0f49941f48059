"""One run of several concepts, from what a node is given to what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .captions import MOST_PROMPTS
from .concept_images.concept import Concept, Images
from .run_start import start_of_several
from .together_plan import WITHOUT, planned_together
from .train_run import SharedRun, train_planned


def train_together(settings: Mapping[str, Any], concepts: Sequence[Concept], node_id: str) -> tuple[SharedRun, str]:
    """Train all of them in one run; what is left of it, and what is to be said.

    settings: what DTI Train takes, without what a concept brings. node_id: where texts are shown.

    Raises ValueError where one of them cannot be trained, before anything is loaded, and the host's interrupt at Stop.
    """
    one = {**settings, **WITHOUT}
    planned = planned_together(one, concepts)
    images = [_read(concept) for concept in concepts]
    run = train_planned(one, planned, images, start_of_several, node_id, f"{len(concepts)} concepts in one run\n")
    lines = [f"{concept.name}: {saved.message}" for concept, saved in zip(concepts, run.saved, strict=True)]
    if len(concepts) > MOST_PROMPTS and one["preview_every"] and not one["preview_prompts"].strip():
        lines.append(f"Previews are of the first {MOST_PROMPTS} concepts; preview_prompts can name others.")
    return run, "\n".join([*lines, *run.notes])


def _read(concept: Concept) -> Images:
    try:
        return concept.read()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Nothing is trained, as all concepts of a run are needed.\n{concept.name}: {error}"
        ) from error
