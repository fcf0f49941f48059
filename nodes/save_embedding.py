"""Save DTI Embedding: keep an embedding that is in memory."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.merging import renamed
from .host.embeddings.owned_files import OwnedFiles
from .host.embeddings.saving import check_prompt_reads, save_pair_to_folder, save_to_folder
from .host.node_text import show_on_node
from .host.prompt.outputs import no_trigger
from .host.schema import search_aliases
from .host.training.checks import settings_objection
from .prompt_name import trigger
from .sockets import DTIEmbedding, if_exists_input, name_input, report_output, trigger_output

PAIR = "diffusers pair"


class DTISaveEmbedding(io.ComfyNode):
    """Writes any embedding to models/embeddings by the rules that training saves by."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_SaveEmbedding",
            display_name="Save DTI Embedding",
            category="DTI",
            **search_aliases("save textual inversion", "export embedding", "diffusers", "learned_embeds"),
            description="Saves an embedding to models/embeddings, for prompts and for other programs.",
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                DTIEmbedding.Input("embedding", tooltip="The embedding to save."),
                name_input(),
                if_exists_input(),
                io.Combo.Input(
                    "format",
                    options=["comfyui", PAIR],
                    default="comfyui",
                    tooltip="comfyui: one file that prompts here and most programs read. diffusers pair: a folder with "
                    "learned_embeds.safetensors and learned_embeds_2.safetensors for diffusers' "
                    "load_textual_inversion; Load DTI Embedding reads it too, a bare prompt does not.",
                ),
            ],
            outputs=[
                trigger_output(),
                report_output("Where it was saved, for Preview as Text."),
            ],
        )

    _files = OwnedFiles()

    @classmethod
    def fingerprint_inputs(cls, name: str, **inputs: object) -> int:
        """Changes where the file of an earlier run is gone, so that the host runs the node again."""
        return cls._files.fingerprint(name)

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """A name that cannot be used is refused as the graph is queued."""
        return settings_objection(name, None) or True

    @classmethod
    def execute(cls, embedding: ConceptEmbedding, name: str, if_exists: str, format: str) -> io.NodeOutput:
        if format == PAIR:
            _, path = save_pair_to_folder(renamed(embedding, name), if_exists)
            files = sorted(path.glob("learned_embeds*.safetensors"))
            text = no_trigger("A prompt cannot read a diffusers pair: load it with Load DTI Embedding.")
        else:
            saved, path = save_to_folder(renamed(embedding, name), if_exists)
            check_prompt_reads(saved)
            files, text = [path], trigger(saved.name)
        cls._files.wrote(name, files)
        report = f"saved to {path}"
        show_on_node(report, cls.hidden.unique_id)
        return io.NodeOutput(text, report, ui=ui.PreviewText(str(path)))
