"""Load DTI Embedding: an embedding from models/embeddings, ready for prompts."""

from __future__ import annotations

import dataclasses

from comfy_api.latest import io

from ..dti_core.files.embedding_file import load_embedding
from ..dti_core.files.formats import reading
from .host.embeddings.folder import embedding_files, embedding_path, file_fingerprint, files_called, name_of
from .host.node_text import show_on_node
from .host.prompt.likeness import AS_LIKENESS, at_likeness
from .host.prompt.outputs import file_outputs
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import ADVANCED, search_aliases
from .host.training.text_encoder import unread
from .prompt_name import trigger
from .slerp import short_name
from .sockets import DTIEmbedding, report_output, trigger_output


class DTILoadEmbedding(io.ComfyNode):
    """Reads one embedding file, and hands on a CLIP so that prompts after it are never stale."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_LoadEmbedding",
            display_name="Load DTI Embedding",
            category="DTI",
            **search_aliases("embedding", "textual inversion", "TI", "load embedding", "load textual inversion"),
            description=(
                "Loads an embedding (textual inversion) from models/embeddings, in the format of any trainer. Send "
                "clip through it to the prompt, so that a file that has changed is read again."
            ),
            inputs=[
                io.Combo.Input(
                    "embedding",
                    options=embedding_files(),
                    tooltip="A file in models/embeddings (.safetensors, .pt, .bin, .pti). Press R to refresh the list.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="The text encoders that the prompt uses."),
                io.String.Input(
                    "name_in_lora",
                    default="",
                    optional=True,
                    tooltip="Which embedding to take from a file that has several: its name in a LoRA, the "
                    "number of a snapshot, one of several tokens. Empty: the only one, or the last.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "likeness",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Lower follows the prompt better and resembles the images less. 1: the embedding as saved. "
                    "0: the ordinary word that it was trained from. Below 1 it needs clip.",
                ),
                io.String.Input(
                    "initializer",
                    default="",
                    optional=True,
                    tooltip="The word at likeness 0, for files that do not name the one they were trained from: an "
                    "ordinary word for what the embedding shows, such as 'dog'. Empty: the file's.",
                    **ADVANCED,
                ),
                io.Float.Input(
                    "norm_likeness",
                    default=AS_LIKENESS,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Another likeness for the norm alone, from the word's (0) to the embedding's (1): for old "
                    "textual inversions, whose norm is far above that of words. -1: as likeness.",
                    **ADVANCED,
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                DTIEmbedding.Output(display_name="embedding", tooltip="The embedding's vectors."),
                io.Clip.Output(display_name="clip", tooltip="The same text encoders; connect them to the prompt."),
                trigger_output(),
                report_output("What was read from the file, for Preview as Text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, embedding: str, **inputs: object) -> list[str]:
        """The host runs the node again when the file has changed, the files that share its name, or the wiring."""
        same_name = map(str, files_called(name_of(embedding)))
        return [file_fingerprint(embedding_path(embedding)), *sorted(same_name), *prompts_that_miss_it()]

    @classmethod
    def execute(
        cls,
        embedding: str,
        clip: io.Clip.Type | None = None,
        name_in_lora: str = "",
        likeness: float = 1.0,
        initializer: str = "",
        norm_likeness: float = AS_LIKENESS,
    ) -> io.NodeOutput:
        loaded = load_embedding(embedding_path(embedding), name_in_lora)
        loaded = dataclasses.replace(loaded, name=name_of(embedding))
        name = f"{short_name(loaded)}-likeness-{likeness:.4g}"
        dialled, how = at_likeness(clip, loaded, initializer, likeness, norm_likeness, name)
        knowing, call = file_outputs(clip, dialled)
        lines = [reading(loaded), *filter(None, [how])]
        if call != trigger(loaded.name):
            lines.append(
                "A prompt alone would read this file differently or not at all: use the trigger and clip of this node."
            )
        if clip is not None and (rest := unread(clip, loaded)):
            lines.append(rest)
        report = "\n".join(lines)
        show_on_node(report, cls.hidden.unique_id)
        return io.NodeOutput(dialled, knowing, call, report)
