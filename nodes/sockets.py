"""Sockets that several nodes share."""

from comfy_api.latest import io

# Carries a dti_core.embedding.ConceptEmbedding.
DTIEmbedding = io.Custom("DTI_EMBEDDING")
# Carries a nodes.concept_images.concept.Concept.
DTIConcept = io.Custom("DTI_CONCEPT")


def name_input() -> io.String.Input:
    """The name under which an embedding is saved."""
    return io.String.Input(
        "name",
        default="my_concept",
        tooltip="Name of the embedding and its file. Letters and digits of any script, '_', '-', '.'; '/' for a "
        "subfolder.",
    )


def if_exists_input(**options: bool) -> io.Combo.Input:
    """What to do where the name is taken; `options` go to the input."""
    return io.Combo.Input(
        "if_exists",
        options=["error", "number", "replace"],
        default="number",
        tooltip="When the name is taken: number saves under the next free one (my_concept_2), error refuses, replace "
        "overwrites the file.",
        **options,
    )


def padding_input() -> io.Combo.Input:
    """What to do where embeddings have different numbers of vectors."""
    return io.Combo.Input(
        "padding",
        options=["none", "repeat"],
        default="none",
        optional=True,
        tooltip="For embeddings with different numbers of vectors. none: refuse them. repeat: the vectors of the one "
        "with fewer are repeated in order until both have as many.",
    )


def knowing_clip_output() -> io.Clip.Output:
    """Text encoders whose prompts understand the embedding."""
    return io.Clip.Output(
        display_name="clip", tooltip="Text encoders that know the embedding; connect them to the prompt."
    )


def trigger_output() -> io.String.Output:
    """The text that puts the embedding into a prompt."""
    return io.String.Output(
        display_name="trigger", tooltip="The text that puts the embedding into a prompt, with a space on both sides."
    )


def report_output(tooltip: str) -> io.String.Output:
    """What a node says of its work, for Preview as Text; of a node's outputs the last."""
    return io.String.Output(display_name="report", tooltip=tooltip)
