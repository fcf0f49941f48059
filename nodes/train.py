"""DTI Train: train an embedding from images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui

from .host.embeddings.owned_files import OwnedFiles
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .host.training.checks import settings_objection
from .single_values import single_values
from .sockets import DTIEmbedding, report_output, trigger_output
from .train_inputs import train_inputs, with_defaults
from .train_objection import run_objection
from .train_run import run_training

# The inputs that have a value for each image; the others have one.
SEVERAL = ("images", "captions", "masks", "repeats")


class DTITrain(io.ComfyNode):
    """Runs `dti_core.training.train` on the models that the graph has loaded."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_Train",
            display_name="DTI Train",
            category="DTI",
            **search_aliases("textual inversion", "train embedding", "train concept", "training", "TI", "dreambooth"),
            description=(
                "Trains an embedding for a subject or a style from 3 to 6 images, on the model that is loaded, and "
                "saves it to models/embeddings. Directional Textual Inversion: only the direction of the embedding "
                "is trained, its norm stays that of ordinary words."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=train_inputs(),
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The trained embedding."),
                io.Custom("LOSS_MAP").Output(display_name="loss", tooltip="Losses of all steps, for Plot Loss Graph."),
                trigger_output(),
                report_output("Where the embedding was saved, and what was odd about the images, for Preview as Text."),
                io.Image.Output(
                    display_name="picture",
                    tooltip="Previews from the start to the result, and loss and angle over the steps.",
                ),
            ],
        )

    _files = OwnedFiles()

    @classmethod
    def fingerprint_inputs(cls, name: Sequence[str], **inputs: object) -> int:
        """Changes where the file of an earlier run is gone, so that the host runs the node again."""
        return cls._files.fingerprint(name[0])

    @classmethod
    def validate_inputs(
        cls,
        name: Sequence[str | None] = (None,),
        initializer: Sequence[str | None] = (None,),
        noise_start: Sequence[float | None] = (None,),
        noise_end: Sequence[float | None] = (None,),
        preview_prompts: Sequence[str | None] = (None,),
        held_out: Sequence[int | None] = (None,),
        patience: Sequence[int | None] = (None,),
    ) -> bool | str:
        """Refused as the graph is queued, before a checkpoint is loaded for it."""
        objection = run_objection(noise_start[0], noise_end[0], preview_prompts[0], held_out[0], patience[0])
        return settings_objection(name[0], initializer[0]) or objection or True

    @classmethod
    def execute(cls, **inputs: Sequence[Any]) -> io.NodeOutput:
        # Every input comes as a list, so that a list of images is one run and not one run each.
        lists = with_defaults(inputs, train_inputs())
        one = single_values("DTI Train", {key: values for key, values in lists.items() if key not in SEVERAL})
        pictures = [picture for batch in lists["images"] for picture in batch]
        subjects = [mask for batch in inputs.get("masks", ()) for mask in batch.reshape(-1, *batch.shape[-2:])]
        node_id = cls.hidden.unique_id
        run = run_training(one, pictures, lists["captions"], subjects, node_id, inputs.get("repeats", ()))
        if run.saved.path is not None:
            cls._files.wrote(one["name"], [run.saved.path])
        message = run.message
        show_on_node(message, node_id)
        loss, saved = {"loss": run.losses}, run.saved
        return io.NodeOutput(saved.embedding, loss, saved.trigger, message, run.picture, ui=ui.PreviewText(message))
