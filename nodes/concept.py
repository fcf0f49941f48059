"""Concept: what DTI Train takes of a concept, handed on as one thing, of which several make a list."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from .concept_images.concept import Concept, images_digest
from .host.schema import search_aliases
from .host.training.checks import settings_objection
from .single_values import single_values
from .sockets import DTIConcept
from .train_inputs import train_inputs

OWN = ("images", "name", "initializer", "templates", "captions", "masks", "repeats")


class DTIConceptNode(io.ComfyNode):
    """Adds a concept to those before it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_Concept",
            display_name="Concept",
            category="DTI",
            **search_aliases("concept list", "training set"),
            description=(
                "A concept for Train Concepts or Train Concepts Together: images, a name and an initializer. Several "
                "of these in a row, each with the one before connected to concepts, make a list."
            ),
            is_input_list=True,
            inputs=[
                *(one for one in train_inputs() if one.id in OWN),
                DTIConcept.Input("concepts", optional=True, tooltip="Concepts that are to come before this one."),
            ],
            outputs=[
                DTIConcept.Output(
                    display_name="concepts",
                    is_output_list=True,
                    tooltip="Those before and this one, for the node that trains them or another Concept.",
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls, name: Sequence[str | None] = (None,), initializer: Sequence[str | None] = (None,)
    ) -> bool | str:
        """Refused as the graph is queued."""
        return settings_objection(name[0], initializer[0]) or True

    @classmethod
    def execute(
        cls,
        images: Sequence[Tensor],
        name: Sequence[str],
        initializer: Sequence[str],
        templates: Sequence[str],
        captions: Sequence[str] = ("",),
        masks: Sequence[Tensor] = (),
        repeats: Sequence[int] = (),
        concepts: Sequence[Concept] = (),
    ) -> io.NodeOutput:
        lists = {"name": name, "initializer": initializer, "templates": templates}
        pictures = [picture for batch in images for picture in batch]
        subjects = [mask for batch in masks for mask in batch.reshape(-1, *batch.shape[-2:])]
        this = Concept(
            **single_values("Concept", lists),
            captions=tuple(captions),
            n_images=len(pictures),
            read=lambda: (pictures, subjects),
            digest=images_digest(pictures, subjects, captions, repeats),
            repeats=tuple(repeats),
        )
        return io.NodeOutput([*concepts, this])
