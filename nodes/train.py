"""DTI Train: train an embedding from images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.methods import METHODS
from ..dti_core.training import TrainingConfig, start_method, train
from ..dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES
from .captions import captions_by_picture, prompts_objection, prompts_of
from .host.embeddings.owned_files import OwnedFiles
from .host.embeddings.saved_result import save_result
from .host.embeddings.saving import free_name
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.schema import ADVANCED, search_aliases
from .host.training.checks import check_concept, settings_objection
from .host.training.memory import plan_memory
from .host.training.memory_plan import PLAN_NAMES
from .host.training.notes import training_notes
from .host.training.previews import Previews
from .host.training.run_metadata import run_metadata, text_notes
from .host.training.run_report import RunReport
from .host.training.run_watch import RunWatch
from .host.training.session import training_session
from .host.training.vae import encode_images
from .run_picture.history import RunHistory
from .single_values import single_values
from .sockets import DTIEmbedding, if_exists_input, name_input, report_output, trigger_output

TEMPLATES = {"object": OBJECT_TEMPLATES, "style": STYLE_TEMPLATES}


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
            inputs=[
                io.Model.Input("model", tooltip="The model to train on. It is not changed."),
                io.Clip.Input("clip", tooltip="The text encoders of the same checkpoint. They are not changed."),
                io.Vae.Input("vae", tooltip="The VAE of the same checkpoint."),
                io.Image.Input(
                    "images",
                    tooltip="3 to 6 images: a batch, or a list of any sizes as Load Concept Images gives it.",
                ),
                name_input(),
                io.String.Input(
                    "initializer",
                    default="dog",
                    tooltip="An ordinary word for what the images show: 'dog', 'teapot', 'painting'. Training "
                    "starts there and stays near. Two words give two vectors.",
                ),
                io.Combo.Input(
                    "templates",
                    options=list(TEMPLATES),
                    default="object",
                    tooltip="Captions to train with: 'a photo of a ...' for a subject, 'a painting in the style of "
                    "...' for a style. Your own captions replace them.",
                ),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Your own captions, {} where the embedding goes: one a line, drawn at random, or a list "
                    "with one for each image, as Load Concept Images gives it. Captions that name the surroundings "
                    "lead to embeddings that follow prompts a little better and resemble the images a little less. "
                    "Empty: templates.",
                ),
                io.Int.Input(
                    "steps",
                    default=TrainingConfig.steps,
                    min=1,
                    max=100000,
                    tooltip="Training steps. Fewer follow the prompt better, more resemble the images better.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=TrainingConfig.batch_size,
                    min=1,
                    max=64,
                    tooltip="Images per step. More: steadier and slower.",
                ),
                io.Int.Input(
                    "resolution",
                    default=768,
                    min=64,
                    max=2048,
                    step=64,
                    tooltip="Images are scaled so that their short side has this many pixels. 768 suits SDXL; lower "
                    "saves memory and time.",
                ),
                io.Int.Input(
                    "seed",
                    default=TrainingConfig.seed,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    # A new seed after every run would train again each time the graph is queued.
                    control_after_generate=False,
                    tooltip="Same seed, same images, same machine: the same embedding.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=TrainingConfig.learning_rate,
                    min=0.0001,
                    max=1.0,
                    step=0.0001,
                    tooltip="How far each step turns the embedding: 0.04 is 2.3 degrees.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "kappa",
                    default=TrainingConfig.kappa,
                    min=0.0,
                    max=1.0,
                    step=0.00001,
                    tooltip="Pull towards the initializer. Higher follows the prompt better, lower resembles the "
                    "images better. 0: none.",
                    **ADVANCED,
                ),
                io.Combo.Input(
                    "magnitude",
                    options=["mean", "initializer", "min", "max"],
                    default=TrainingConfig.magnitude,
                    tooltip="Norm of the embedding: the mean, smallest or largest of the vocabulary's words, or the "
                    "initializer's own.",
                    **ADVANCED,
                ),
                io.Int.Input(
                    "n_vectors",
                    default=TrainingConfig.n_vectors,
                    min=0,
                    max=32,
                    tooltip="Vectors (prompt tokens) of the embedding. 0: as many as the initializer has tokens; "
                    "above that its tokens are repeated in order.",
                    **ADVANCED,
                ),
                io.Int.Input(
                    "microbatch_size",
                    default=0,
                    min=0,
                    max=64,
                    tooltip="Images that pass through the model at a time. 0: as many as fit. The result is the same.",
                    **ADVANCED,
                ),
                io.Int.Input(
                    "save_every",
                    default=100,
                    min=0,
                    max=100000,
                    tooltip="Steps between files <name>-step<N>. 0: only the result. Stop always keeps the last step.",
                    **ADVANCED,
                ),
                if_exists_input(**ADVANCED),
                io.Combo.Input(
                    "memory_plan",
                    options=["auto", *PLAN_NAMES],
                    default="auto",
                    optional=True,
                    tooltip="How to save memory, from fast and large to slow and small. auto: the fastest that fits "
                    "into free memory. The result is the same.",
                    **ADVANCED,
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=TrainingConfig.method,
                    optional=True,
                    tooltip="DTI, or for comparison: Textual Inversion and CrossInit, which do not keep the norm, or "
                    "AdamW projected onto the norm. Their learning rate is half of learning_rate, so 0.04 gives the "
                    "reference's 0.02. kappa is DTI's alone; magnitude is for DTI and projected AdamW.",
                    **ADVANCED,
                ),
                io.Int.Input(
                    "preview_every",
                    default=25,
                    min=0,
                    max=100000,
                    optional=True,
                    tooltip="Steps between preview images on the node. More where they would take over a tenth of the "
                    "time. 0: none. The result is the same.",
                    **ADVANCED,
                ),
                io.String.Input(
                    "preview_prompts",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Prompts of the preview images, one a line, {} where the embedding goes. Empty: 'a photo "
                    "of a {}', for a style 'a painting in the style of {}'.",
                    **ADVANCED,
                ),
            ],
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
        preview_prompts: Sequence[str | None] = (None,),
    ) -> bool | str:
        """Refused as the graph is queued, before a checkpoint is loaded for it."""
        return settings_objection(name[0], initializer[0]) or prompts_objection(preview_prompts[0]) or True

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
        preview_every: Sequence[int] = (25,),
        preview_prompts: Sequence[str] = ("",),
    ) -> io.NodeOutput:
        # Every input comes as a list, so that a list of images is one run and not one run each.
        lists = {key: values for key, values in locals().items() if key not in ("cls", "images", "captions")}
        one = single_values("DTI Train", lists)
        pictures = [picture for batch in images for picture in batch]
        config = config_of(one)
        if one["templates"] not in TEMPLATES:
            raise ValueError(f"templates is {one['templates']!r}; choose {' or '.join(TEMPLATES)}.")
        check_concept(one["clip"], config.initializer, config.n_vectors)
        by_image = captions_by_picture(captions, TEMPLATES[one["templates"]], len(pictures))
        prompts = prompts_of(one["preview_prompts"], TEMPLATES[one["templates"]])
        name = free_name(one["name"], one["if_exists"])
        overwrite = one["if_exists"] == "replace"

        memory = plan_memory(
            one["model"],
            one["clip"],
            edge=one["resolution"],
            batch_size=config.batch_size,
            microbatch_size=config.microbatch_size,
            n_captions=min(config.batch_size, len({caption for several in by_image for caption in several})),
            wanted=one["memory_plan"].removeprefix("auto"),
        )
        config = replace(config, microbatch_size=memory.plan.microbatch_size)
        show_on_node(str(memory), cls.hidden.unique_id)

        data = encode_images(one["vae"], pictures, one["resolution"], by_image)
        notes = training_notes(one["clip"], pictures, by_image, one["resolution"], cls.hidden.unique_id)
        states = None
        if config.method == "CrossInit":
            states = EncoderProbe(one["clip"]).last_hidden_states(config.initializer)
        with training_session(one["model"], one["clip"], memory) as (text_encoder, denoiser):
            denoiser.check_latents(data[0])
            denoiser.check_sampling(data[0], text_encoder)
            texts = text_notes(by_image, TEMPLATES)
            metadata = run_metadata(name, config, text_encoder, denoiser, one["resolution"], texts)
            node_id = cls.hidden.unique_id
            previews = Previews(text_encoder, denoiser, data[0], prompts, one["preview_every"], memory)
            watch = RunWatch(RunHistory(config.steps, config.batch_size), previews)
            report = RunReport(name, metadata, node_id, config.steps, one["save_every"], overwrite, memory, watch)
            with report.keeping():
                start = start_method(config, text_encoder, states)
                report.begin(start.result())
                vectors = train(text_encoder, denoiser, data, config, report, memory.step_down, start)
                report.finish(vectors)
        result = save_result(one["clip"], ConceptEmbedding(name, vectors, metadata), overwrite)
        if result.path is not None:
            cls._files.wrote(one["name"], [result.path])
        picture = watch.picture(one["vae"])
        message = "\n".join(filter(None, [result.message, *notes, watch.note]))
        show_on_node(message, node_id)
        loss = {"loss": report.losses}
        return io.NodeOutput(result.embedding, loss, result.trigger, message, picture, ui=ui.PreviewText(message))


def config_of(inputs: Mapping[str, Any]) -> TrainingConfig:
    """The recipe; the learning rate in the method's own terms, so that the shipped one stands for the reference's."""
    names = [field.name for field in fields(TrainingConfig) if field.name in inputs]
    config = TrainingConfig(**{name: inputs[name] for name in names})
    ratio = METHODS[config.method].learning_rate / METHODS["DTI"].learning_rate
    return replace(config, learning_rate=config.learning_rate * ratio)
