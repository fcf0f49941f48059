"""The socket type that carries a `dti_core.concept_embedding.ConceptEmbedding` between nodes."""

from comfy_api.latest import io

DTIEmbedding = io.Custom("DTI_EMBEDDING")
