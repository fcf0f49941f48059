"""The pipeline's transformer as dti_core's Denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...training.backend import Conditioning
from ...training.objective import per_sample_mse

if TYPE_CHECKING:
    from diffusers import SanaPipeline

MOST_RESOLUTION = 1024


class PipelineDenoiser:
    """Runs the pipeline's transformer on the noise levels of its scheduler, with the objective of flow matching.

    Raises ValueError for a scheduler of another kind.
    """

    def __init__(self, pipe: SanaPipeline) -> None:
        self._transformer: Any = pipe.transformer
        self._scaling = float(pipe.vae.config.scaling_factor)
        self.device: torch.device = pipe.transformer.device
        # fp16 gradients of a mean over an image lie below its smallest normal number.
        self.loss_scale = 2.0**15 if pipe.transformer.dtype == torch.float16 else 1.0
        self.prediction_type = ""  # the standard has no name for it
        self.resolution = min(MOST_RESOLUTION, pipe.transformer.config.sample_size * pipe.vae_scale_factor)
        self._schedule = _schedule(pipe.scheduler).to(self.device)
        scale = pipe.transformer.config.get("timestep_scale", 1.0)
        self._time_of_sigma = pipe.scheduler.config.num_train_timesteps * scale

    def sigmas(self, u: Tensor) -> Tensor:
        """See `dti_core.training.backend.Denoiser`."""
        return self._schedule[(u * len(self._schedule)).long().to(self.device)]

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """See `dti_core.training.backend.Denoiser`; framing is not read. Call inside `pipeline_session`."""
        x0, dtype, column = latents * self._scaling, self._transformer.dtype, sigma.reshape(-1, 1, 1, 1)
        output = self._transformer(
            ((1 - column) * x0 + column * noise).to(dtype),
            encoder_hidden_states=conditioning.context.to(dtype),
            encoder_attention_mask=_mask(conditioning.context, conditioning.lengths),
            timestep=sigma * self._time_of_sigma,
        ).sample
        velocity = output[:, : x0.shape[1]]  # some checkpoints give a variance behind it
        return per_sample_mse(velocity.float() - (noise - x0), weights)


def _mask(context: Tensor, lengths: Sequence[int] | None) -> Tensor:
    """Which tokens are read, int64 `[B, n_tokens]`."""
    rows, n_tokens = context.shape[:2]
    ends = torch.tensor([n_tokens] * rows if lengths is None else lengths)
    return (torch.arange(n_tokens) < ends[:, None]).long().to(context.device)


def _schedule(scheduler: Any) -> Tensor:
    """Its training noise levels, from clean to noise: sampling leaves others in `scheduler.sigmas`."""
    config = scheduler.config
    # Solvers that do flow matching too say so, and call the shift otherwise.
    kind, shift = config.get("prediction_type", "flow_prediction"), config.get("flow_shift", config.get("shift"))
    if "use_flow_sigmas" in config and not config.use_flow_sigmas:  # it would sample on other levels
        shift = None
    if kind != "flow_prediction" or shift is None or config.get("use_dynamic_shifting", False):
        raise ValueError(
            f"The pipeline's scheduler is {type(scheduler).__name__} with the prediction type {kind!r}, the shift "
            f"{shift} and use_dynamic_shifting {config.get('use_dynamic_shifting', False)}. DTI trains SANA by flow "
            "matching with a fixed shift: give the pipeline the scheduler that it came with, such as "
            "DPMSolverMultistepScheduler with flow_prediction, or FlowMatchEulerDiscreteScheduler."
        )
    steps: int = config.num_train_timesteps
    even = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    return (float(shift) * even / (1 + (float(shift) - 1) * even)).float()
