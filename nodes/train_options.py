"""What DTI Train can also be asked for; a run does without any of it."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dti_core.methods import Options
from ..dti_core.training.crops import MOST_ROOM, SHAPES
from ..dti_core.training.masks import BACKGROUND_WEIGHT
from ..dti_core.training.start import PRIORS
from ..dti_core.training.state_folder import RESUME
from ..dti_core.training.validation import EVERY, LEAST_TRAINED
from .host.schema import ADVANCED
from .host.training.trained_encoders import CHOICES
from .sockets import DTIEmbedding

PREVIEW_EVERY = 25
LEAST_RATE = 0.1
# As fields of Options.
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "linear": {"decay": "linear", "decay_floor": LEAST_RATE},
    "cosine": {"decay": "cosine", "decay_floor": LEAST_RATE},
}
# One image of four is a quarter of what a run knows of its subject, and a better step does not make up for that
# (docs/results.md).
HELD_OUT = 0


def train_options() -> list[Any]:
    """Behind the other inputs, in this order: new ones come last, and all are optional."""
    return [
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
