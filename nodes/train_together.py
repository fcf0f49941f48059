"""Train Concepts Together: several concepts in one run, with captions that name more than one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui

from .captions import prompts_of_several_objection
from .concept_images.concept import Concept
from .host.embeddings.owned_files import OwnedFiles
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .single_values import single_values
from .sockets import DTIConcept, DTIEmbedding, report_output
from .together_run import train_together
from .train_inputs import explained, settings_inputs, with_defaults
from .train_objection import run_objection

# How the files of all concepts are called together.
ALL = ""
TOOLTIPS = {
    "steps": "Training steps of each concept, made at the same time. As many as for one alone.",
    "batch_size": "Images of each concept per step: with two concepts a step of 4 is of 8 images, and takes twice as "
    "long. Concepts are drawn as often as each other, whatever their number of images.",
    "class_word": "Whether initializers stay in captions, each behind its embedding: 'a {} dog beside {mug} cup'. "
    "Prompts then need them too. Off: the embeddings stand for them.",
    "caption_dropout": "Share of images whose caption is the embeddings that it names, with no words around them. 0: "
    "none.",
    "held_out": "Images of each concept, the last ones, that are not trained on: the result of each is the step at "
    "which the loss of its own is lowest. 3 images of each are always trained on. 0: none.",
    "patience": "Steps without a lower loss of held_out images, of any concept, after which training ends. 0: it never "
    "ends early.",
    "preview_prompts": "Prompts of the preview images, one a line: {} for each concept in turn, {rex} for the one of "
    "that name, up to 8 in all. Empty: 'a photo of a {}', for a style 'a painting in the style of {}'.",
}


class DTITrainTogether(io.ComfyNode):
    """A batch of each concept in every step, and one result of each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        model, clip, vae, *settings = explained(settings_inputs(), TOOLTIPS)
        return io.Schema(
            node_id="DTI_TrainTogether",
            display_name="Train Concepts Together",
            category="DTI",
            **search_aliases("train several embeddings", "multi concept", "several subjects", "joint training"),
            description=(
                "Trains several concepts in one run, an embedding of each, so that captions of images that show two "
                "can name both: 'a photo of {rex} beside {mug}'. Without such images Train Concepts does as well, "
                "and one that fails does not stop the rest."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                model,
                clip,
                vae,
                DTIConcept.Input(
                    "concepts",
                    tooltip="From Load Concept Folders or Concept. In captions {} is the concept of the image, {rex} "
                    "the one of that name.",
                ),
                *settings,
            ],
            outputs=[
                DTIEmbedding.Output(
                    display_name="embeddings", is_output_list=True, tooltip="One of each concept, in order."
                ),
                io.String.Output(
                    display_name="triggers",
                    is_output_list=True,
                    tooltip="For each of them the text that puts it into a prompt, with a space on both sides.",
                ),
                io.Image.Output(
                    display_name="picture",
                    tooltip="Previews from the start to the result, and loss and angles over the steps.",
                ),
                report_output("Where the embeddings were saved, and what was odd about the run, for Preview as Text."),
            ],
        )

    _files = OwnedFiles()

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> int:
        """Changes where a file of an earlier run is gone, so that the host runs the node again."""
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
        objection = run_objection(noise_start[0], noise_end[0], None, held_out[0], patience[0])
        return objection or prompts_of_several_objection(preview_prompts[0]) or True

    @classmethod
    def execute(cls, concepts: Sequence[Concept], **inputs: Sequence[Any]) -> io.NodeOutput:
        settings = single_values("Train Concepts Together", with_defaults(inputs, settings_inputs()))
        node_id = cls.hidden.unique_id
        run, report = train_together(settings, concepts, node_id)
        cls._files.wrote(ALL, [saved.path for saved in run.saved if saved.path is not None])
        show_on_node(report, node_id)
        return io.NodeOutput(
            [saved.embedding for saved in run.saved],
            [saved.trigger for saved in run.saved],
            run.picture,
            report,
            ui=ui.PreviewText(report),
        )
