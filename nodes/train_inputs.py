"""What DTI Train asks for."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dti_core.methods import DTI, METHODS, Options
from ..dti_core.training import TrainingConfig
from ..dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES
from ..dti_core.training.crops import MOST_ROOM, SHAPES
from ..dti_core.training.masks import BACKGROUND_WEIGHT
from ..dti_core.training.start import PRIORS
from ..dti_core.training.state_folder import RESUME
from ..dti_core.training.validation import EVERY, LEAST_TRAINED
from .host.schema import ADVANCED
from .host.training.memory_plan import PLAN_NAMES
from .host.training.trained_encoders import CHOICES
from .sockets import DTIEmbedding, if_exists_input, name_input

TEMPLATES = {"object": OBJECT_TEMPLATES, "style": STYLE_TEMPLATES}
PREVIEW_EVERY = 25
LEAST_RATE = 0.1
# As fields of Options.
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "linear": {"decay": "linear", "decay_floor": LEAST_RATE},
    "cosine": {"decay": "cosine", "decay_floor": LEAST_RATE},
}
# One image of four is a quarter of what a run knows of its subject; whether a better step makes up for that is not
# measured yet.
HELD_OUT = 0


# What a concept brings, where DTI Train is told of several.
OF_A_CONCEPT = frozenset(
    {"images", "masks", "captions", "repeats", "name", "initializer", "templates", "start_from", "prior"}
)


def settings_inputs() -> list[Any]:
    """The inputs of DTI Train without what a concept brings."""
    return [one for one in train_inputs() if one.id not in OF_A_CONCEPT]


def train_inputs() -> list[Any]:
    """In this order, since graphs store values by position: new ones come last, and are optional."""
    return [
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
            "('a {} on a wooden table') resemble the images better in our tables. Empty: templates.",
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
            default=0,
            min=0,
            max=2048,
            step=64,
            tooltip="Images are scaled so that their short side has this many pixels. 0: what suits the model, "
            "768 for SDXL, 512 for SD 1.5. Lower saves memory and time.",
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
            default=PREVIEW_EVERY,
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
        io.Int.Input(
            "held_out",
            default=HELD_OUT,
            min=0,
            max=64,
            optional=True,
            tooltip="Images, the last ones, that are not trained on: the step at which their loss is lowest is the "
            f"result. {LEAST_TRAINED} images are always trained on, so this takes {LEAST_TRAINED + 1} or more. 0: "
            "none, all are trained on.",
            **ADVANCED,
        ),
        io.Int.Input(
            "validate_every",
            default=EVERY,
            min=1,
            max=100000,
            optional=True,
            tooltip="Steps between measurements of the loss of held_out images.",
            **ADVANCED,
        ),
        io.Int.Input(
            "patience",
            default=0,
            min=0,
            max=100000,
            optional=True,
            tooltip="Steps without a lower loss of held_out images after which training ends. 0: it never ends early.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "schedule",
            options=list(SCHEDULES),
            default="constant",
            optional=True,
            tooltip="Whether steps become smaller over the run: linear and cosine bring them down to a tenth of "
            "learning_rate.",
            **ADVANCED,
        ),
        io.Int.Input(
            "average",
            default=Options.average,
            min=0,
            max=100000,
            optional=True,
            tooltip="The result is the mean direction of so many last steps, which smooths out their noise. For DTI "
            "alone. 0: the last step's.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "crop",
            options=list(SHAPES),
            default=SHAPES[0],
            optional=True,
            tooltip="square: squares of the resolution, anywhere along the long side. keep aspect: as much of each "
            "image as fits into a shape near its own, of about as many pixels; images of different shapes take more "
            "passes.",
            **ADVANCED,
        ),
        io.Float.Input(
            "random_crop",
            default=0.0,
            min=0.0,
            max=MOST_ROOM,
            step=0.05,
            optional=True,
            tooltip="Share of each side that crops leave out, each time another part. 0: crops as large as they can "
            "be.",
            **ADVANCED,
        ),
        io.Int.Input(
            "repeats",
            min=1,
            optional=True,
            force_input=True,
            tooltip="How often each image is drawn beside the others, as Load Concept Images reads it from subfolders "
            "such as 10_dog. Not connected: all alike.",
        ),
        io.Combo.Input(
            "encoders",
            options=list(CHOICES),
            default=CHOICES[0],
            optional=True,
            tooltip="Which text encoders train; to the others the embedding means the initializer. auto: CLIP where "
            "the model has it (SDXL, SD3, Flux.1), else what it has (T5, Gemma, Qwen).",
            **ADVANCED,
        ),
    ]
