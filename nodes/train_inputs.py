"""What DTI Train asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from comfy_api.latest import io

from ..dti_core.methods import DTI, METHODS
from ..dti_core.training import TrainingConfig
from ..dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES
from .host.schema import ADVANCED
from .host.training.memory_plan import PLAN_NAMES
from .sockets import if_exists_input, name_input
from .train_options import train_options

TEMPLATES = {"object": OBJECT_TEMPLATES, "style": STYLE_TEMPLATES}
# What a concept brings, where DTI Train is told of several.
OF_A_CONCEPT = frozenset(
    {"images", "masks", "captions", "repeats", "name", "initializer", "templates", "start_from", "prior"}
)


def settings_inputs() -> list[Any]:
    """The inputs of DTI Train without what a concept brings."""
    return [one for one in train_inputs() if one.id not in OF_A_CONCEPT]


def explained(inputs: Iterable[Any], tooltips: Mapping[str, str]) -> list[Any]:
    """The inputs, of which some mean something else in a node."""
    found = list(inputs)
    for one in found:
        one.tooltip = tooltips.get(one.id, one.tooltip)
    return found


def with_defaults(inputs: Mapping[str, Sequence[Any]], declared: Iterable[Any]) -> dict[str, Sequence[Any]]:
    """Inputs as the host gives them, each a list, with defaults for what a graph of an older version does not have."""
    return {**{one.id: [getattr(one, "default", None)] for one in declared}, **inputs}


def train_inputs() -> list[Any]:
    """In this order, since graphs store values by position: new ones come last, among the options."""
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
        *train_options(),
    ]
