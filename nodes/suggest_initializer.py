"""Suggest Initializer: which of many nouns a training should start from, by the model's own loss on the images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui

from ..dti_core.training.evaluation_set import SIZE
from ..dti_core.training.word_ranking import ranked
from .captions import captions_by_picture
from .host.node_text import show_on_node
from .host.schema import ADVANCED, search_aliases
from .host.training.suggestion import suggestion_losses
from .single_values import single_values
from .sockets import report_output
from .train_inputs import TEMPLATES, with_defaults
from .word_report import word_report

# One token each in CLIP's vocabulary, so that any of them gives one vector.
NOUNS = """dog, cat, bird, horse, rabbit, bear, lion, fish, frog, dragon, dinosaur
man, woman, child, baby, face, doll, toy, robot, statue
cup, mug, bottle, bowl, vase, teapot, lamp, candle, chair, bag, backpack, box
shoe, boot, hat, shirt, dress, watch, ring, ball, book, camera, guitar
car, truck, bike, boat, plane, train, house, castle
flower, tree, plant, mushroom, fruit, cake, bread
painting, drawing, cartoon, sculpture"""


class DTISuggestInitializer(io.ComfyNode):
    """Measures each noun as if it were the concept of a training."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_SuggestInitializer",
            display_name="Suggest Initializer",
            category="DTI",
            **search_aliases("initializer token", "init word", "class word", "interrogate", "textual inversion"),
            description=(
                "Ranks nouns by how well the model itself denoises your images when it is told that they show one. "
                "Connect initializer to DTI Train, or read the report and type a word."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input("model", tooltip="The model that will be trained on. It is not changed."),
                io.Clip.Input("clip", tooltip="The text encoders of the same checkpoint. They are not changed."),
                io.Vae.Input("vae", tooltip="The VAE of the same checkpoint."),
                io.Image.Input("images", tooltip="The images that DTI Train gets: a batch, or a list of any sizes."),
                io.String.Input(
                    "nouns",
                    multiline=True,
                    default=NOUNS,
                    tooltip="Words to choose from, separated by commas or lines. A word that the text encoders do not "
                    "know whole is left out. Twice as many take twice as long.",
                ),
                io.Combo.Input(
                    "templates",
                    options=list(TEMPLATES),
                    default="object",
                    optional=True,
                    tooltip="What is said of the images, as in DTI Train: 'a photo of a ...' for a subject, 'a "
                    "painting in the style of ...' for a style. Captions replace them.",
                ),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="The captions that DTI Train gets, {} where the word goes. Empty: templates.",
                ),
                io.Int.Input(
                    "samples",
                    default=SIZE,
                    min=4,
                    max=1024,
                    optional=True,
                    tooltip="Noisy copies of the images on which each noun is measured. More tell nearer words apart "
                    "and take longer.",
                    **ADVANCED,
                ),
                io.Int.Input(
                    "resolution",
                    default=0,
                    min=0,
                    max=2048,
                    step=64,
                    optional=True,
                    tooltip="Short side of the images in pixels. 0: what suits the model, 768 for SDXL, 512 for SD "
                    "1.5. Lower saves memory and time.",
                    **ADVANCED,
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="initializer", tooltip="The best noun; connect it to DTI Train's initializer."
                ),
                report_output("The ranking, and which nouns cannot be told apart, for Preview as Text."),
            ],
        )

    @classmethod
    def execute(cls, **inputs: Sequence[Any]) -> io.NodeOutput:
        lists = with_defaults(inputs, cls.define_schema().inputs)
        several = ("images", "captions")
        one = single_values("Suggest Initializer", {k: values for k, values in lists.items() if k not in several})
        pictures = [picture for batch in lists["images"] for picture in batch]
        if one["templates"] not in TEMPLATES:
            raise ValueError(f"templates is {one['templates']!r}; choose {' or '.join(TEMPLATES)}.")
        captions = captions_by_picture(lists["captions"], TEMPLATES[one["templates"]], len(pictures))
        node_id = cls.hidden.unique_id
        losses, left_out = suggestion_losses(one, pictures, captions, parsed_nouns(one["nouns"]), node_id)
        words = ranked(losses)
        report = word_report(words, one["samples"], len(pictures), left_out)
        show_on_node(report, node_id)
        return io.NodeOutput(words[0].word, report, ui=ui.PreviewText(report))


def parsed_nouns(text: str) -> list[str]:
    """Words from a text with commas or lines between, each once. Raises ValueError for fewer than two."""
    words = list(dict.fromkeys(word for part in re.split(r"[,;\n]", text) if (word := " ".join(part.split()))))
    if len(words) < 2:
        raise ValueError(
            f"nouns is {text.strip()[:60]!r}; write at least two words to choose from, separated by commas, such as: "
            "dog, cat, toy."
        )
    return words
