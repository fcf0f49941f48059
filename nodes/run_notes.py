"""What is said of a run: before it on the node, and in the header of each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ..dti_core.training.captions import NAME
from ..dti_core.training.image_marks import image_notes
from .concept_images.concept import Images
from .held_out_notes import held_out_notes, held_out_numbers
from .host.training.family import resolution_notes
from .host.training.run_metadata import start_notes, text_notes
from .image_notes import mask_notes, picture_notes
from .run_plan import PlannedConcept, PlannedRun
from .train_inputs import TEMPLATES


def notes_before(one: Mapping[str, Any], planned: PlannedRun, images: Sequence[Images]) -> list[str]:
    """What is odd about the images of each concept, and what is not done as asked for."""
    notes = resolution_notes(one["model"], planned.crop.resolution)
    without = [of.called for of in planned.concepts if not held_out_numbers(len(of.typed), one["held_out"])]
    if one["patience"] and 0 < len(without) < len(planned.concepts):
        notes.append(f"The run does not end early for patience, as nothing of {', '.join(without)} is held out.")
    for concept, (pictures, masks) in zip(planned.concepts, images, strict=True):
        own = held_out_notes(len(pictures), one["held_out"])
        if max(concept.shares) > 1:
            own.append(f"Images are drawn by their repeats, in their order: {', '.join(map(str, concept.shares))}.")
        own += [*picture_notes(pictures, planned.crop), *mask_notes(pictures, masks), *_unnamed(concept)]
        notes += [f"{concept.label}{note}" for note in own]
    return notes


def _unnamed(concept: PlannedConcept) -> list[str]:
    """A sentence on braces that mean nothing where there is one concept."""
    found = {slot for texts in concept.typed for text in texts for slot in NAME.findall(text)} - {""}
    if concept.called or not found:
        return []
    shown = ", ".join(f"{{{name}}}" for name in sorted(found))
    return [
        f"Captions have {shown}, which is trained as it stands: names of other concepts in braces are for Train "
        "Concepts Together."
    ]


def header_notes(
    one: Mapping[str, Any], planned: PlannedRun, concept: PlannedConcept, pictures: Sequence[Tensor], masked: bool
) -> dict[str, str]:
    """What was made of a concept's images and captions, and what it was trained beside."""
    held_out = held_out_numbers(len(pictures), one["held_out"])
    notes = {**text_notes(concept.typed, TEMPLATES), **image_notes(pictures, held_out)}
    notes |= {f"dti.{key}": value for key, value in planned.crop.in_use().items()}
    if one["class_word"]:
        notes["dti.class_word"] = concept.initializer
    if masked:
        notes["dti.background_weight"] = str(one["background_weight"])
    if one["mirror"]:
        notes["dti.mirror"] = "True"
    if held_out:
        notes["dti.held_out"] = ", ".join(f"image {number}" for number in held_out)
    if max(concept.shares) > 1:
        notes["dti.repeats"] = " ".join(map(str, concept.shares))
    if others := [other.name for other in planned.concepts if other is not concept]:
        notes["dti.together"] = ", ".join(others)
    return notes | start_notes(one["start_from"], one["prior"])
