"""The pipeline's models made ready for training, and handed back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..pipeline_models import check_models, frozen, in_float32
from .denoiser import PipelineDenoiser
from .text_encoder import PipelineTextEncoder

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline


@contextmanager
def pipeline_session(pipe: StableDiffusionXLPipeline) -> Iterator[tuple[PipelineTextEncoder, PipelineDenoiser]]:
    """Make the pipeline's models ready for training while the context lasts, and hand them back as they were.

    The text encoders compute in float32, in which small gradients last; the UNet in what it is loaded in.

    Raises ValueError for a pipeline that cannot be trained on, and says why.
    """
    names = ("unet", "text_encoder", "text_encoder_2", "vae")
    check_models({name: getattr(pipe, name, None) for name in names}, "SDXL's base pipeline")
    encoders = (pipe.text_encoder, pipe.text_encoder_2)
    with frozen(pipe.unet, *encoders), in_float32(*encoders):
        yield PipelineTextEncoder(pipe), PipelineDenoiser(pipe)
