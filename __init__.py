"""Directional Textual Inversion for ComfyUI: the pack's door."""

from comfy_api.latest import ComfyExtension, io

from .nodes.load_embedding import DTILoadEmbedding
from .nodes.train import DTITrain

WEB_DIRECTORY = "./web"


class DTIExtension(ComfyExtension):
    """The nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [DTITrain, DTILoadEmbedding]


async def comfy_entrypoint() -> DTIExtension:
    """Called by the host."""
    return DTIExtension()
