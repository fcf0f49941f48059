"""diffusers' SDXL pipeline as dti_core's text encoder and denoiser.

Nothing of diffusers is imported: all that is needed hangs on the pipeline.
"""

from .denoiser import PipelineDenoiser
from .text_encoder import PipelineTextEncoder
from .training import encode_images, pipeline_session, train_on_pipeline

__all__ = ["PipelineDenoiser", "PipelineTextEncoder", "encode_images", "pipeline_session", "train_on_pipeline"]
