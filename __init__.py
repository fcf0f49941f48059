"""Directional Textual Inversion for ComfyUI: the pack's door."""

from comfy_api.latest import ComfyExtension, io

from .nodes.concept import DTIConceptNode
from .nodes.load_concept_folders import DTILoadConceptFolders
from .nodes.load_embedding import DTILoadEmbedding
from .nodes.load_images import DTILoadConceptImages
from .nodes.mix import DTIMix
from .nodes.norm_inspector import DTINormInspector
from .nodes.picture_row import DTIPictureRow
from .nodes.rescale import DTIRescale
from .nodes.save_embedding import DTISaveEmbedding
from .nodes.score_embeddings import DTIScoreEmbeddings
from .nodes.slerp import DTISlerp
from .nodes.slerp_sweep import DTISlerpSweep
from .nodes.suggest_initializer import DTISuggestInitializer
from .nodes.train import DTITrain
from .nodes.train_concepts import DTITrainConcepts
from .nodes.train_together import DTITrainTogether

WEB_DIRECTORY = "./web"


class DTIExtension(ComfyExtension):
    """The nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            DTILoadConceptImages,
            DTITrain,
            DTILoadConceptFolders,
            DTIConceptNode,
            DTITrainConcepts,
            DTITrainTogether,
            DTILoadEmbedding,
            DTINormInspector,
            DTISlerp,
            DTISlerpSweep,
            DTIMix,
            DTIRescale,
            DTISaveEmbedding,
            DTIPictureRow,
            DTIScoreEmbeddings,
            DTISuggestInitializer,
        ]


async def comfy_entrypoint() -> DTIExtension:
    """Called by the host."""
    return DTIExtension()
