"""Mix Embeddings: the mean of several words."""

from __future__ import annotations

from comfy_api.latest import io

from ..dti_core.interpolation import mix
from .host.embeddings.unread import say_unread
from .host.prompt.outputs import prompt_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
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
            description=(
                "Makes the mean of two to four words by weight: the direction nearest to all of theirs (weighted "
                "Frechet mean on the sphere), with the mean of their lengths. Send clip through it to the prompt."
            ),
            inputs=[
                *(_embedding(number) for number in range(1, MOST + 1)),
                io.Clip.Input("clip", optional=True, tooltip="The text encoders that the prompt uses."),
                *(_weight(number) for number in range(1, MOST + 1)),
                padding_input(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The mixed word."),
                knowing_clip_output(),
                trigger_output(),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs) -> list[str]:
        """What of the wiring `execute` objects to: the host runs the node again when that has changed."""
        return prompts_that_miss_it()

    @classmethod
    def execute(cls, clip=None, padding="none", **inputs) -> io.NodeOutput:
        numbers = [number for number in range(1, MOST + 1) if inputs.get(f"embedding_{number}") is not None]
        embeddings = of_one_length([inputs[f"embedding_{number}"] for number in numbers], padding)
        weights = [inputs.get(f"weight_{number}", 1.0) for number in numbers]
        mixed = mix(embeddings, weights, "-".join(["mix", *map(short_name, embeddings[:3])]))
        say_unread(clip, mixed, cls.hidden.unique_id)
        return io.NodeOutput(mixed, *prompt_outputs(clip, mixed))


def _embedding(number: int) -> io.Input:
    return DTIEmbedding.Input(
        f"embedding_{number}", optional=number > 2, tooltip="A word, of as many vectors as the others, or see padding."
    )


def _weight(number: int) -> io.Float.Input:
    return io.Float.Input(
        f"weight_{number}",
        default=1.0,
        min=0.0,
        max=100.0,
        step=0.05,
        optional=number > 2,
        tooltip=f"How much of embedding_{number}, beside the other weights.",
    )
