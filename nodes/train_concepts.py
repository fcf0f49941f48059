"""Train Concepts: DTI Train for several concepts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui

from .concept_images.concept import Concept
from .concept_queue import train_concepts
from .host.embeddings.owned_files import OwnedFiles
from .host.schema import search_aliases
from .single_values import single_values
from .sockets import DTIConcept, DTIEmbedding, report_output
from .train_inputs import settings_inputs, with_defaults
from .train_objection import run_objection

# How the files of all concepts are called together.
ALL = ""


class DTITrainConcepts(io.ComfyNode):
    """One failure does not stop the rest, and what is finished is not trained again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        model, clip, vae, *settings = settings_inputs()
        return io.Schema(
            node_id="DTI_TrainConcepts",
            display_name="Train Concepts",
            category="DTI",
            **search_aliases("train several embeddings", "batch training", "training queue", "overnight"),
            description=(
                "Trains an embedding for each of several concepts, one after the other, as DTI Train does. One that "
                "fails does not stop the rest, and after Stop the next Run goes on where this one was."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                model,
                clip,
                vae,
                DTIConcept.Input("concepts", tooltip="From Load Concept Folders or Concept."),
                *settings,
            ],
            outputs=[
                DTIEmbedding.Output(
                    display_name="embeddings",
                    is_output_list=True,
                    tooltip="Those that were trained, now or before, in order.",
                ),
                io.String.Output(
                    display_name="triggers",
                    is_output_list=True,
                    tooltip="For each of them the text that puts it into a prompt, with a space on both sides.",
                ),
                io.Image.Output(
                    display_name="pictures",
                    is_output_list=True,
                    tooltip="For each of them the picture of its run.",
                ),
                report_output("What has come of each concept, and why one failed, for Preview as Text."),
            ],
        )

    _files = OwnedFiles()

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> int:
        """Changes where a concept has failed or a file is gone, so that the host runs the node again."""
        return cls._files.fingerprint(ALL)

    @classmethod
    def validate_inputs(
        cls,
        noise_start: Sequence[float | None] = (None,),
        noise_end: Sequence[float | None] = (None,),
        preview_prompts: Sequence[str | None] = (None,),
        held_out: Sequence[int | None] = (None,),
        patience: Sequence[int | None] = (None,),
    ) -> bool | str:
        """Refused as the graph is queued, before a checkpoint is loaded for it."""
        return run_objection(noise_start[0], noise_end[0], preview_prompts[0], held_out[0], patience[0]) or True

    @classmethod
    def execute(cls, concepts: Sequence[Concept], **inputs: Sequence[Any]) -> io.NodeOutput:
        settings = single_values("Train Concepts", with_defaults(inputs, settings_inputs()))
        try:
            queue = train_concepts(settings, concepts, cls.hidden.unique_id)
        except RuntimeError:
            cls._files.failed(ALL)
            raise
        cls._files.wrote(ALL, [one.path for one in queue.trained if one.path is not None])
        if queue.n_failed:
            cls._files.failed(ALL)
        trained = queue.trained
        return io.NodeOutput(
            [one.embedding for one in trained],
            [one.trigger for one in trained],
            [one.picture for one in trained],
            queue.report,
            ui=ui.PreviewText(queue.report),
        )
