"""Mix Embeddings: the mean of several embeddings."""

from __future__ import annotations

from comfy_api.latest import io

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.interpolation import mix
from .host.embeddings.unread import say_unread
from .host.prompt.outputs import prompt_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import search_aliases
from .slerp import of_one_length, short_name
from .sockets import DTIEmbedding, knowing_clip_output, padding_input, trigger_output

MOST = 4


class DTIMix(io.ComfyNode):
    """Weighted Frechet mean on the sphere, row by row."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_Mix",
            display_name="Mix Embeddings",
            category="DTI",
            **search_aliases("merge embeddings", "blend embeddings", "average embeddings", "textual inversion"),
            description=(
                "Makes the weighted mean of two to four embeddings: the direction nearest to all of theirs (Frechet "
                "mean on the sphere), with the mean of their norms. Send clip through it to the prompt."
            ),
            inputs=[
                *(_embedding(number) for number in range(1, MOST + 1)),
                io.Clip.Input("clip", optional=True, tooltip="The text encoders that the prompt uses."),
                *(_weight(number) for number in range(1, MOST + 1)),
                padding_input(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The mixed embedding."),
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
        embedding_1: ConceptEmbedding,
        embedding_2: ConceptEmbedding,
        embedding_3: ConceptEmbedding | None = None,
        embedding_4: ConceptEmbedding | None = None,
        clip: io.Clip.Type | None = None,
        weight_1: float = 1.0,
        weight_2: float = 1.0,
        weight_3: float = 1.0,
        weight_4: float = 1.0,
        padding: str = "none",
    ) -> io.NodeOutput:
        inputs = [(embedding_1, weight_1), (embedding_2, weight_2), (embedding_3, weight_3), (embedding_4, weight_4)]
        given = [(embedding, weight) for embedding, weight in inputs if embedding is not None]
        embeddings = of_one_length([embedding for embedding, _ in given], padding)
        weights = [weight for _, weight in given]
        mixed = mix(embeddings, weights, "-".join(["mix", *map(short_name, embeddings[:3])]))
        say_unread(clip, mixed, cls.hidden.unique_id)
        return io.NodeOutput(mixed, *prompt_outputs(clip, mixed))


def _embedding(number: int) -> io.Input:
    return DTIEmbedding.Input(
        f"embedding_{number}",
        optional=number > 2,
        tooltip="An embedding with as many vectors as the others; see padding for other numbers.",
    )


def _weight(number: int) -> io.Float.Input:
    return io.Float.Input(
        f"weight_{number}",
        default=1.0,
        min=0.0,
        max=100.0,
        step=0.05,
        optional=number > 2,
        tooltip=f"Share of embedding_{number}, relative to the other weights. 0: none.",
    )
