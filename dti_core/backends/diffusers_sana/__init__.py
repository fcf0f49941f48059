"""diffusers' SANA pipeline as dti_core's text encoder and denoiser.

Nothing of diffusers is imported: all that is needed hangs on the pipeline.
"""

from .denoiser import PipelineDenoiser
from .session import pipeline_session
from .text_encoder import PipelineTextEncoder

__all__ = ["PipelineDenoiser", "PipelineTextEncoder", "pipeline_session"]
