"""The pipeline's models made ready for training, and handed back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..pipeline_models import check_models, frozen, in_float32
from .denoiser import PipelineDenoiser
from .text_encoder import PipelineTextEncoder

if TYPE_CHECKING:
    from diffusers import SanaPipeline

KIND = "SanaPipeline"


@contextmanager
def pipeline_session(
    pipe: SanaPipeline, instruction: Sequence[str] | None = None
) -> Iterator[tuple[PipelineTextEncoder, PipelineDenoiser]]:
    """Make the pipeline's models ready for training while the context lasts, and hand them back as they were.

    instruction: as `PipelineTextEncoder` has it.

    Gemma computes in float32, in which small gradients last; the transformer in what it is loaded in.

    Raises ValueError for a pipeline that cannot be trained on, and says why.
    """
    if KIND not in [kind.__name__ for kind in type(pipe).__mro__]:
        raise ValueError(
            f"The pipeline is {type(pipe).__name__}. Of diffusers' pipelines DTI trains on SDXL's and on {KIND}; other "
            "models train in ComfyUI."
        )
    names = ("transformer", "text_encoder", "vae")
    check_models({name: getattr(pipe, name, None) for name in names}, "SANA's pipeline")
    with frozen(pipe.transformer, pipe.text_encoder), in_float32(pipe.text_encoder):
        yield PipelineTextEncoder(pipe, instruction), PipelineDenoiser(pipe)
