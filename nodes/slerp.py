"""Slerp Embeddings: an embedding between two embeddings."""

from __future__ import annotations

from comfy_api.latest import io

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.interpolation import lerp, slerp
from ..dti_core.merging import padded
from .host.embeddings.unread import say_unread
from .host.prompt.outputs import prompt_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import ADVANCED, search_aliases
from .sockets import DTIEmbedding, knowing_clip_output, padding_input, trigger_output

METHODS = {"slerp": slerp, "lerp": lerp}
AS_T = -1.0


class DTISlerp(io.ComfyNode):
    """Interpolates two embeddings row by row, each text encoder for itself."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_Slerp",
            display_name="Slerp Embeddings",
            category="DTI",
            **search_aliases("interpolate embeddings", "blend embeddings", "merge embeddings", "textual inversion"),
            description=(
                "Makes an embedding between two others, along the arc between their directions. Send clip through it "
                "to the prompt: the result is in memory only, and only that clip knows it. Save DTI Embedding keeps it."
            ),
            inputs=[
                DTIEmbedding.Input("embedding_a", tooltip="The embedding at t = 0."),
                DTIEmbedding.Input(
                    "embedding_b", tooltip="The embedding at t = 1. With another number of vectors see padding."
                ),
                io.Float.Input(
                    "t",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How far to go from the first embedding (0) to the second (1).",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="slerp",
                    tooltip="slerp: along the sphere, which keeps the norm. lerp: straight, which lowers the norm.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="The text encoders that the prompt uses."),
                *(_own_t(key, what) for key, what in (("clip_l", "CLIP-L"), ("clip_g", "CLIP-G"))),
                padding_input(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The embedding between the two."),
                knowing_clip_output(),
                trigger_output(),
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
        t: float,
        method: str,
        clip: io.Clip.Type | None = None,
        t_clip_l: float = AS_T,
        t_clip_g: float = AS_T,
        padding: str = "none",
    ) -> io.NodeOutput:
        embedding_a, embedding_b = of_one_length([embedding_a, embedding_b], padding)
        own = {"clip_l": t_clip_l, "clip_g": t_clip_g}
        ratios = {key: t if own.get(key, AS_T) == AS_T else own[key] for key in embedding_a.vectors}
        ratio = t if set(ratios.values()) == {t} else ratios
        name = between_name(embedding_a, embedding_b, t)
        embedding = METHODS[method](embedding_a, embedding_b, ratio, name)
        say_unread(clip, embedding, cls.hidden.unique_id)
        return io.NodeOutput(embedding, *prompt_outputs(clip, embedding))


def of_one_length(embeddings: list[ConceptEmbedding], padding: str) -> list[ConceptEmbedding]:
    """The embeddings, by choice those with fewer vectors padded."""
    return padded(embeddings) if padding == "repeat" else embeddings


def between_name(a: ConceptEmbedding, b: ConceptEmbedding, t: float) -> str:
    """A name for the embedding between two: their own without folders, cut where they are long, and how far."""
    return f"{short_name(a)}-{short_name(b)}-{t:.4g}"


def short_name(embedding: ConceptEmbedding) -> str:
    """The name without folders, at most 24 bytes long."""
    return embedding.name.rpartition("/")[2].encode()[:24].decode(errors="ignore").rstrip(".")


def _own_t(key: str, what: str) -> io.Float.Input:
    return io.Float.Input(
        f"t_{key}",
        default=AS_T,
        min=-1.0,
        max=1.0,
        step=0.01,
        optional=True,
        tooltip=f"Another t for {what} alone. -1: the same t.",
        **ADVANCED,
    )
