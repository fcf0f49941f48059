"""Slerp Sweep: a row of embeddings from one to another."""

from __future__ import annotations

import re

from comfy_api.latest import io

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.interpolation import FIGURE_4_RATIOS
from .host.embeddings.unread import say_unread
from .host.prompt.outputs import prompt_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import search_aliases
from .slerp import METHODS, between_name, of_one_length
from .sockets import DTIEmbedding, padding_input


class DTISlerpSweep(io.ComfyNode):
    """Gives a list for each output, so that one graph generates every step with the same seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_SlerpSweep",
            display_name="Slerp Sweep",
            category="DTI",
            **search_aliases("interpolate embeddings", "morph", "textual inversion"),
            description=(
                "Makes a row of embeddings from one to another. Everything behind it runs once for each: connect "
                "clips and triggers to one prompt and sampler, and all images are generated with one seed."
            ),
            inputs=[
                DTIEmbedding.Input("embedding_a", tooltip="The embedding at t = 0."),
                DTIEmbedding.Input(
                    "embedding_b", tooltip="The embedding at t = 1. With another number of vectors see padding."
                ),
                io.Clip.Input("clip", tooltip="The text encoders that the prompt uses."),
                io.String.Input(
                    "ratios",
                    default=", ".join(f"{t:g}" for t in FIGURE_4_RATIOS),
                    tooltip="Values of t from 0 to 1, separated by commas or spaces. Most of the change is near the "
                    "middle.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="slerp",
                    tooltip="slerp: along the sphere, which keeps the norm. lerp: straight, which lowers the norm.",
                ),
                padding_input(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(
                    display_name="embeddings", is_output_list=True, tooltip="The embeddings, in order."
                ),
                io.Clip.Output(
                    display_name="clips", is_output_list=True, tooltip="For each embedding, text encoders that know it."
                ),
                io.String.Output(
                    display_name="triggers", is_output_list=True, tooltip="For each embedding, its trigger."
                ),
                io.String.Output(display_name="labels", is_output_list=True, tooltip="For each embedding, its t."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> list[str]:
        """What of the wiring `execute` objects to: the host runs the node again when that has changed."""
        return prompts_that_miss_it()

    @classmethod
    def execute(
        cls,
        embedding_a: ConceptEmbedding,
        embedding_b: ConceptEmbedding,
        clip: io.Clip.Type,
        ratios: str,
        method: str,
        padding: str = "none",
    ) -> io.NodeOutput:
        embedding_a, embedding_b = of_one_length([embedding_a, embedding_b], padding)
        steps = parsed_ratios(ratios)
        between = [
            METHODS[method](embedding_a, embedding_b, t, between_name(embedding_a, embedding_b, t)) for t in steps
        ]
        say_unread(clip, between[0], cls.hidden.unique_id)
        clips, triggers = zip(*(prompt_outputs(clip, one) for one in between), strict=True)
        return io.NodeOutput(between, list(clips), list(triggers), [f"t = {t:g}" for t in steps])


def parsed_ratios(text: str) -> list[float]:
    """Numbers from a text with commas or white space between. Raises ValueError."""
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    try:
        steps = [float(part) for part in parts]
    except ValueError:
        steps = []
    if not steps:
        raise ValueError(f"ratios is {text!r}; write numbers from 0 to 1, separated by commas, such as 0, 0.5, 1.")
    return steps
