"""The host's MODEL as dti_core's Denoiser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import comfy.ldm.modules.attention
import comfy.model_management
import comfy.model_sampling
import torch
from torch import Tensor

from ....dti_core.training.backend import Conditioning
from ....dti_core.training.data import TrainingImage
from ....dti_core.training.objective import noise_error, per_sample_mse, velocity_error
from .model_inputs import ModelInputs


class HostDenoiser:
    """Runs the diffusion network through the host's `apply_model`, on the model as it is patched.

    patcher: a loaded ModelPatcher.
    """

    def __init__(self, patcher) -> None:
        self._model = patcher.model
        self._sampling = patcher.get_model_object("model_sampling")
        self._error = training_error(self._sampling)
        self._inputs = ModelInputs(self._model)
        self._transformer_options = {
            **patcher.model_options.get("transformer_options", {}),
            # SageAttention and its like have no backward pass.
            "optimized_attention_override": _differentiable_attention,
        }
        self.model_type: str = patcher.model.model_type.name
        self.device: torch.device = patcher.load_device
        # fp16 gradients of a mean over a picture lie below its smallest normal number.
        self.loss_scale = 2.0**15 if _compute_dtype(patcher) == torch.float16 else 1.0

    def sigmas(self, u: Tensor) -> Tensor:
        """See `dti_core.training.backend.Denoiser`."""
        schedule = self._sampling.sigmas.float()
        return schedule[(u * len(schedule)).long().to(schedule.device)]

    def loss(
        self, latents: Tensor, conditioning: Conditioning, sigma: Tensor, noise: Tensor, framing: Tensor
    ) -> Tensor:
        """See `dti_core.training.backend.Denoiser`. Call inside `differentiable`."""
        x0 = self._model.process_latent_in(latents)
        x_t = self._sampling.noise_scaling(sigma, noise, x0)
        inputs = self._inputs(conditioning, noise, framing)
        denoised = self._model.apply_model(x_t, sigma, transformer_options=dict(self._transformer_options), **inputs)
        return per_sample_mse(self._error(denoised, x0, sigma))

    def check_conditioning(self, conditioning: Conditioning) -> None:
        """Raise ValueError where the text encoder belongs to another kind of model."""
        config = self._model.model_config.unet_config
        wanted, got = config.get("context_dim"), conditioning.context.shape[-1]
        if wanted is not None and wanted != got:
            raise ValueError(
                f"This clip gives conditioning {got} wide, but the model takes {wanted}. "
                "Connect the CLIP output of the checkpoint that the model comes from."
            )

    def check_latents(self, image: TrainingImage) -> None:
        """Raise ValueError where the VAE belongs to another kind of model."""
        wanted, channels = self._model.latent_format.latent_channels, image.mean.shape[0]
        if wanted != channels:
            raise ValueError(
                f"This vae gives latents of {channels} channels, but the model takes {wanted}. "
                "Connect the VAE output of the checkpoint that the model comes from."
            )


def training_error(sampling) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The error in which the checkpoint was trained, for the host's `model_sampling`.

    Raises ValueError for a kind of sampling whose objective is not known here.
    """
    host = comfy.model_sampling
    if isinstance(sampling, host.V_PREDICTION):  # and EDM, its subclass
        return partial(velocity_error, sigma_data=float(sampling.sigma_data))
    if isinstance(sampling, host.CONST) or (isinstance(sampling, host.EPS) and not isinstance(sampling, host.X0)):
        return noise_error
    kinds = [kind.__name__ for kind in type(sampling).__mro__ if kind.__module__ == host.__name__]
    raise ValueError(
        f"The model's sampling is {' + '.join(kinds)}, and DTI trains eps, v-prediction and flow models. "
        "Use such a model, or connect it before the node that changes its sampling."
    )


def _compute_dtype(patcher) -> torch.dtype:
    return patcher.get_model_object("manual_cast_dtype") or patcher.model.get_dtype()


def _differentiable_attention(func, *args, **kwargs):
    return comfy.ldm.modules.attention.attention_pytorch(*args, **kwargs)
