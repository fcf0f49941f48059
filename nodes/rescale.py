"""Rescale Embedding: give an old textual inversion the norm of ordinary words."""

from __future__ import annotations

from comfy_api.latest import io

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.methods.adjust import rescale
from .host.embeddings.unread import say_unread
from .host.prompt.outputs import prompt_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import search_aliases
from .host.training.text_encoder import HostTextEncoder, check_fits
from .slerp import short_name
from .sockets import DTIEmbedding, knowing_clip_output, trigger_output


class DTIRescale(io.ComfyNode):
    """Sets the norm of every vector by the vocabulary of its text encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_Rescale",
            display_name="Rescale Embedding",
            category="DTI",
            **search_aliases("normalize embedding", "embedding strength", "textual inversion"),
            description=(
                "Gives an embedding the norm of ordinary words and keeps its direction: the prompt may be followed "
                "better, the likeness suffers. Send clip through it to the prompt; Save DTI Embedding keeps the result."
            ),
            inputs=[
                DTIEmbedding.Input("embedding", tooltip="Any textual inversion."),
                io.Clip.Input("clip", tooltip="The text encoders whose vocabulary gives the norm."),
                io.Combo.Input(
                    "magnitude",
                    options=["mean", "min", "max"],
                    default="mean",
                    tooltip="The mean norm of the vocabulary's words, or the smallest or largest.",
                ),
                io.Float.Input(
                    "factor",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.01,
                    tooltip="Multiplies that norm. 1: as it is. Above 1 the rest of the prompt may count for less.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The rescaled embedding."),
                knowing_clip_output(),
                trigger_output(),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> list[str]:
        """What of the wiring `execute` objects to: the host runs the node again when that has changed."""
        return prompts_that_miss_it()

    @classmethod
    def execute(cls, embedding: ConceptEmbedding, clip: io.Clip.Type, magnitude: str, factor: float) -> io.NodeOutput:
        check_fits(clip, embedding)
        vocabularies = HostTextEncoder(clip, clip.cond_stage_model).vocabularies
        lengths = {key: factor * float(vocabulary.magnitude(magnitude)) for key, vocabulary in vocabularies.items()}
        rescaled = rescale(embedding, lengths, f"{short_name(embedding)}-{magnitude}")
        say_unread(clip, rescaled, cls.hidden.unique_id)
        return io.NodeOutput(rescaled, *prompt_outputs(clip, rescaled))
