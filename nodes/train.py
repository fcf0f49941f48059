"""DTI Train: train an embedding from images."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io, ui
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.methods import Options
from ..dti_core.training.crops import SHAPES
from ..dti_core.training.masks import BACKGROUND_WEIGHT
from ..dti_core.training.start import PRIORS
from ..dti_core.training.state_folder import RESUME
from ..dti_core.training.validation import EVERY
from .captions import prompts_objection
from .host.embeddings.owned_files import OwnedFiles
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .host.training.checks import settings_objection, validation_objection
from .host.training.trained_encoders import CHOICES
from .single_values import single_values
from .sockets import DTIEmbedding, report_output, trigger_output
from .train_inputs import HELD_OUT, PREVIEW_EVERY, train_inputs
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
        noise_range = {"noise_start": noise_start[0], "noise_end": noise_end[0]}
        objection = settings_objection(name[0], initializer[0], noise_range)
        objection = objection or prompts_objection(preview_prompts[0])
        return objection or validation_objection(held_out[0], patience[0]) or True

    @classmethod
    def execute(
        cls,
        model: Sequence[io.Model.Type],
        clip: Sequence[io.Clip.Type],
        vae: Sequence[io.Vae.Type],
        images: Sequence[Tensor],
        name: Sequence[str],
        initializer: Sequence[str],
        templates: Sequence[str],
        steps: Sequence[int],
        batch_size: Sequence[int],
        resolution: Sequence[int],
        seed: Sequence[int],
        learning_rate: Sequence[float],
        kappa: Sequence[float],
        magnitude: Sequence[str],
        n_vectors: Sequence[int],
        microbatch_size: Sequence[int],
        save_every: Sequence[int],
        if_exists: Sequence[str],
        captions: Sequence[str] = ("",),
        memory_plan: Sequence[str] = ("auto",),
        method: Sequence[str] = ("DTI",),
        start_from: Sequence[ConceptEmbedding | None] = (None,),
        prior: Sequence[str] = PRIORS[:1],
        resume: Sequence[str] = RESUME[:1],
        noise_start: Sequence[float] = (Options.noise_start,),
        noise_end: Sequence[float] = (Options.noise_end,),
        stratified: Sequence[bool] = (Options.stratified,),
        masks: Sequence[Tensor] = (),
        background_weight: Sequence[float] = (BACKGROUND_WEIGHT,),
        class_word: Sequence[bool] = (False,),
        caption_dropout: Sequence[float] = (Options.caption_dropout,),
        mirror: Sequence[bool] = (False,),
        preview_every: Sequence[int] = (PREVIEW_EVERY,),
        preview_prompts: Sequence[str] = ("",),
        held_out: Sequence[int] = (HELD_OUT,),
        validate_every: Sequence[int] = (EVERY,),
        patience: Sequence[int] = (0,),
        schedule: Sequence[str] = ("constant",),
        average: Sequence[int] = (Options.average,),
        crop: Sequence[str] = SHAPES[:1],
        random_crop: Sequence[float] = (0.0,),
        repeats: Sequence[int] = (),
        encoders: Sequence[str] = CHOICES[:1],
    ) -> io.NodeOutput:
        # Every input comes as a list, so that a list of images is one run and not one run each.
        lists = {key: values for key, values in locals().items() if key not in ("cls", *SEVERAL)}
        one = single_values("DTI Train", lists)
        pictures = [picture for batch in images for picture in batch]
        subjects = [mask for batch in masks for mask in batch.reshape(-1, *batch.shape[-2:])]
        node_id = cls.hidden.unique_id
        run = run_training(one, pictures, captions, subjects, node_id, repeats)
        if run.saved.path is not None:
            cls._files.wrote(one["name"], [run.saved.path])
        message = run.message
        show_on_node(message, node_id)
        loss, saved = {"loss": run.losses}, run.saved
        return io.NodeOutput(saved.embedding, loss, saved.trigger, message, run.picture, ui=ui.PreviewText(message))
