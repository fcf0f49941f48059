"""Sockets that several nodes share."""

from comfy_api.latest import io

# Carries a dti_core.embedding.ConceptEmbedding.
DTIEmbedding = io.Custom("DTI_EMBEDDING")


def name_input() -> io.String.Input:
    """The name under which a word is saved."""
    return io.String.Input(
        "name",
        default="my_concept",
        tooltip="Name of the word and its file. Letters and digits of any script, '_', '-', '.'; '/' for a subfolder.",
    )


def if_exists_input(**options: bool) -> io.Combo.Input:
    """What to do where the name is taken; `options` go to the input."""
    return io.Combo.Input(
        "if_exists",
        options=["error", "number", "replace"],
        default="error",
        tooltip="When the name is taken: refuse, save under a numbered name, or replace the file.",
        **options,
    )


def padding_input() -> io.Combo.Input:
    """What to do where words have different numbers of vectors."""
    return io.Combo.Input(
        "padding",
        options=["none", "repeat"],
        default="none",
        optional=True,
        tooltip="For words with different numbers of vectors. none: refuse them. repeat: the shorter word's vectors "
        "again in order, as often as the longer one has them.",
    )


def knowing_clip_output() -> io.Clip.Output:
    """Text encoders whose prompts understand the word."""
    return io.Clip.Output(display_name="clip", tooltip="Text encoders that know the word; connect to the prompt.")


def trigger_output() -> io.String.Output:
    """The text that calls the word."""
    return io.String.Output(
        display_name="trigger", tooltip="The text that calls the word in a prompt, spaces included."
    )
