"""DTI Train: train an embedding from images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.methods import DTI, METHODS, Options
from ..dti_core.training import TrainingConfig, start_method, train
from ..dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES, beside_class_word
from ..dti_core.training.masks import BACKGROUND_WEIGHT
from ..dti_core.training.start import PRIORS
from ..dti_core.training.state_folder import RESUME, check_resumable
from .captions import captions_by_picture, prompts_objection, prompts_of
from .host.embeddings.owned_files import OwnedFiles
from .host.embeddings.saved_result import save_result
from .host.embeddings.saving import free_name
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.schema import ADVANCED, search_aliases
from .host.training.checks import check_concept, settings_objection
from .host.training.kept_state import kept_state, states_folder
from .host.training.memory import plan_memory
from .host.training.memory_plan import PLAN_NAMES
from .host.training.notes import training_notes
from .host.training.previews import Previews
from .host.training.run_metadata import run_metadata, start_notes, text_notes
from .host.training.run_report import RunReport
from .host.training.run_watch import RunWatch
from .host.training.session import training_session
from .host.training.text_encoder import check_fits
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
                    default=DTI.learning_rate,
                    min=0.0001,
                    max=1.0,
                    step=0.0001,
                    tooltip="How far each step moves the embedding. 0.04 is the recipe of every method, other values "
                    "scale it: 0.02 halves each step. With DTI 0.04 turns by 2.3 degrees.",
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
                    "AdamW projected onto the norm. kappa is DTI's alone; magnitude is for DTI and projected AdamW.",
                    **ADVANCED,
                ),
                DTIEmbedding.Input(
                    "start_from",
                    optional=True,
                    tooltip="An embedding to go on from: ours, one of another trainer, a slerp. Its direction, at the "
                    "norm that magnitude gives. It decides the number of vectors. Not connected: the initializer.",
                ),
                io.Combo.Input(
                    "prior",
                    options=list(PRIORS),
                    default=PRIORS[0],
                    optional=True,
                    tooltip="Where kappa pulls to when start_from is connected: the initializer, or that embedding.",
                    **ADVANCED,
                ),
                io.Combo.Input(
                    "resume",
                    options=list(RESUME),
                    default=RESUME[0],
                    optional=True,
                    tooltip="auto: goes on with a run of this name that was stopped, if images, captions, model and "
                    "settings are the same; the result is the same as from the start. yes: that run or none; what "
                    "differs is named. despite changes: with other images or settings too. never: from the start.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "noise_start",
                    default=Options.noise_start,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Where training begins on the noise schedule, in ComfyUI's percent: 0 is the noisiest "
                    "level, where layout is decided. 0: with all of it.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "noise_end",
                    default=Options.noise_end,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Where it ends: 1 is the cleanest, where fine detail is decided. 1: with all of it.",
                    **ADVANCED,
                ),
                io.Boolean.Input(
                    "stratified",
                    default=Options.stratified,
                    optional=True,
                    tooltip="Whether each image of a batch takes its noise from another part of that range. Off: from "
                    "anywhere in it.",
                    **ADVANCED,
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="One for each image, 1 on the subject; what lies outside counts background_weight. For "
                    "cut-outs put Invert Mask behind Load Concept Images, whose masks are 1 where an image is clear.",
                ),
                io.Float.Input(
                    "background_weight",
                    default=BACKGROUND_WEIGHT,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="What images count outside their masks. 1: as much as inside, as without masks. 0: none.",
                    **ADVANCED,
                ),
                io.Boolean.Input(
                    "class_word",
                    default=False,
                    optional=True,
                    tooltip="Whether the initializer stays in captions, behind the embedding: 'a photo of a {} dog'. "
                    "Prompts then need it too. Off: the embedding stands for it.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "caption_dropout",
                    default=Options.caption_dropout,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Share of images whose caption is the embedding alone, with no words around it. 0: none.",
                    **ADVANCED,
                ),
                io.Boolean.Input(
                    "mirror",
                    default=False,
                    optional=True,
                    tooltip="Whether to train on each image's mirror image too, as often. Not for subjects with "
                    "writing, or whose sides differ. Off: as they are.",
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
        noise_start: Sequence[float | None] = (None,),
        noise_end: Sequence[float | None] = (None,),
        preview_prompts: Sequence[str | None] = (None,),
    ) -> bool | str:
        """Refused as the graph is queued, before a checkpoint is loaded for it."""
        noise_range = {"noise_start": noise_start[0], "noise_end": noise_end[0]}
        objection = settings_objection(name[0], initializer[0], noise_range)
        return objection or prompts_objection(preview_prompts[0]) or True

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
        preview_every: Sequence[int] = (25,),
        preview_prompts: Sequence[str] = ("",),
    ) -> io.NodeOutput:
        # Every input comes as a list, so that a list of images is one run and not one run each.
        lists = {key: values for key, values in locals().items() if key not in ("cls", "images", "captions", "masks")}
        one = single_values("DTI Train", lists)
        pictures = [picture for batch in images for picture in batch]
        subjects = [mask for batch in masks for mask in batch.reshape(-1, *batch.shape[-2:])]
        config = config_of(one)
        if one["templates"] not in TEMPLATES:
            raise ValueError(f"templates is {one['templates']!r}; choose {' or '.join(TEMPLATES)}.")
        check_concept(one["clip"], config.initializer, config.n_vectors)
        if one["start_from"] is not None:
            check_fits(one["clip"], one["start_from"])
        typed = captions_by_picture(captions, TEMPLATES[one["templates"]], len(pictures))
        prompts = prompts_of(one["preview_prompts"], TEMPLATES[one["templates"]])
        by_image = [beside_class_word(texts, config.initializer) if one["class_word"] else texts for texts in typed]
        if one["class_word"]:
            prompts = beside_class_word(prompts, config.initializer)
        n_texts = len({caption for several in by_image for caption in several}) + bool(config.options.caption_dropout)
        name = free_name(one["name"], one["if_exists"])
        overwrite = one["if_exists"] == "replace"
        check_resumable(states_folder(one["name"]), one["resume"])

        memory = plan_memory(
            one["model"],
            one["clip"],
            edge=one["resolution"],
            batch_size=config.batch_size,
            microbatch_size=config.microbatch_size,
            n_captions=min(config.batch_size, n_texts),
            wanted=one["memory_plan"].removeprefix("auto"),
        )
        config = replace(config, microbatch_size=memory.plan.microbatch_size)
        show_on_node(str(memory), cls.hidden.unique_id)

        weight = one["background_weight"]
        data = encode_images(one["vae"], pictures, one["resolution"], by_image, subjects, weight, one["mirror"])
        notes = training_notes(one["clip"], pictures, by_image, one["resolution"], cls.hidden.unique_id, subjects)
        states = None
        if config.method == "CrossInit" and one["start_from"] is None:
            states = EncoderProbe(one["clip"]).last_hidden_states(config.initializer)
        with training_session(one["model"], one["clip"], memory) as (text_encoder, denoiser):
            denoiser.check_latents(data[0])
            denoiser.check_sampling(data[0], text_encoder)
            texts = text_notes(typed, TEMPLATES)
            if one["class_word"]:
                texts["dti.class_word"] = config.initializer
            if subjects:
                texts["dti.background_weight"] = str(weight)
            if one["mirror"]:
                texts["dti.mirror"] = "True"
            metadata = run_metadata(name, config, text_encoder, denoiser, one["resolution"], texts)
            metadata |= start_notes(one["start_from"], one["prior"])
            node_id = cls.hidden.unique_id
            start = start_method(config, text_encoder, states, one["start_from"], one["prior"])
            kept = kept_state(one, config, data, pictures, text_encoder.vocabularies)
            previews = Previews(text_encoder, denoiser, data[0], prompts, one["preview_every"], memory)
            watch = RunWatch(RunHistory(config.steps, config.batch_size), previews)
            report = RunReport(
                name, metadata, node_id, config.steps, one["save_every"], overwrite, memory, watch, kept.hint
            )
            report.losses += kept.losses
            if kept.resumed is not None:
                kept.resumed.put_into(start)
            with report.keeping(), kept.keeping():
                report.begin(start.result(), len(kept.losses))
                on_step = kept.before(report)
                vectors = train(text_encoder, denoiser, data, config, on_step, memory.step_down, start, kept.resumed)
                report.finish(vectors)
        result = save_result(one["clip"], ConceptEmbedding(name, vectors, metadata), overwrite)
        if result.path is not None:
            kept.finish()
            cls._files.wrote(one["name"], [result.path])
        if one["class_word"]:
            prompt = f"embedding:{result.embedding.name} {config.initializer}"
            notes.append(f"Trained with the class word behind it: write {prompt!r} into prompts.")
        picture = watch.picture(one["vae"])
        said = [result.message, *kept.notes(), *report.left_out(), *notes, watch.note]
        message = "\n".join(filter(None, said))
        show_on_node(message, node_id)
        loss = {"loss": report.losses}
        return io.NodeOutput(result.embedding, loss, result.trigger, message, picture, ui=ui.PreviewText(message))


def config_of(inputs: Mapping[str, Any]) -> TrainingConfig:
    """The recipe; the learning rate in the method's own terms, so that DTI's stands for that of every method."""
    recipe, options = (
        {field.name: inputs[field.name] for field in fields(kind) if field.name in inputs}
        for kind in (TrainingConfig, Options)
    )
    config = TrainingConfig(**recipe, options=Options(**options))
    ratio = METHODS[config.method].learning_rate / DTI.learning_rate
    return replace(config, learning_rate=config.rate * ratio)
