"""The pipeline's UNet as dti_core's Denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...training.backend import Conditioning
from ...training.objective import per_sample_mse

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

# With zero terminal SNR nothing is left of the image at the last noise level; sigma 4518 stands for it, as in ComfyUI.
LEAST_ALPHA_BAR = 4.8973451890853435e-08

# By the scheduler's `prediction_type`, what the model standard calls it.
PREDICTION_TYPES = {"epsilon": "epsilon", "v_prediction": "v"}


class PipelineDenoiser:
    """Runs the pipeline's UNet on the noise schedule and with the objective of its scheduler.

    Raises ValueError for a scheduler of another kind.
    """

    def __init__(self, pipe: StableDiffusionXLPipeline) -> None:
        self._unet: Any = pipe.unet
        self._scaling = float(pipe.vae.config.scaling_factor)
        self.prediction_type = _prediction_type(pipe.scheduler)
        self.resolution = 768  # the reference's
        self.device: torch.device = pipe.unet.device
        # fp16 gradients of a mean over an image lie below its smallest normal number.
        self.loss_scale = 2.0**15 if pipe.unet.dtype == torch.float16 else 1.0
        alpha_bar = torch.cumprod(1 - pipe.scheduler.betas.double(), dim=0).clamp(min=LEAST_ALPHA_BAR)
        self._schedule = ((1 - alpha_bar) / alpha_bar).sqrt().float().to(self.device)

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
        """See `dti_core.training.backend.Denoiser`. Call inside `pipeline_session`."""
        if conditioning.pooled is None:
            raise ValueError("SDXL takes pooled text beside the context, and the conditioning has none.")
        x0, dtype, column = latents * self._scaling, self._unet.dtype, sigma.reshape(-1, 1, 1, 1)
        magnitude = torch.sqrt(column**2 + 1)  # of x_t, where images and noise have variance 1
        output = self._unet(
            ((x0 + column * noise) / magnitude).to(dtype),
            self._timesteps(sigma),
            encoder_hidden_states=conditioning.context.to(dtype),
            added_cond_kwargs={
                "text_embeds": conditioning.pooled.to(dtype),
                "time_ids": framing.to(self.device, torch.float32),
            },
        ).sample
        target = noise if self.prediction_type == "epsilon" else (noise - column * x0) / magnitude
        return per_sample_mse(output.float() - target, weights)

    def _timesteps(self, sigma: Tensor) -> Tensor:
        """The step of the schedule nearest to each sigma, int64 `[B]`."""
        return (self._schedule.log() - sigma.log()[:, None]).abs().argmin(dim=1)


def _prediction_type(scheduler: Any) -> str:
    kind = scheduler.config.get("prediction_type")
    if kind not in PREDICTION_TYPES or not hasattr(scheduler, "betas"):
        raise ValueError(
            f"The pipeline's scheduler is {type(scheduler).__name__} with the prediction type {kind!r}. DTI trains on "
            f"schedules of betas with the prediction types {' and '.join(PREDICTION_TYPES)}: give the pipeline the "
            "scheduler that the model was trained with, such as EulerDiscreteScheduler or DDPMScheduler."
        )
    return PREDICTION_TYPES[kind]
