"""The host's MODEL as dti_core's Denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

from ....dti_core.training.backend import Conditioning, TextEncoder
from ....dti_core.training.data import TrainingImage
from ....dti_core.training.objective import per_sample_mse
from .model_inputs import ModelInputs
from .model_patches import Patch, network_patches
from .network import Network
from .sampling_kind import ModelSampling, kind_of, noise_ratios, own_sampling, training_error

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# Of the latents that are tried where the sampling is in question.
LARGEST_EDGE = 64


class HostDenoiser:
    """Runs the diffusion network through the host's `apply_model`, on the model as it is patched.

    patcher: a loaded ModelPatcher. patches: those of its `network_patches` that take part; None for all.
    """

    def __init__(self, patcher: ModelPatcher, patches: Sequence[Patch] | None = None) -> None:
        self.patcher = patcher
        self._model = patcher.model
        self._sampling = patcher.get_model_object("model_sampling")
        self._is_resampled = "model_sampling" in patcher.object_patches
        self._error = training_error(self._sampling)
        self._inputs = ModelInputs(self._model)
        self._network = Network(patcher, network_patches(patcher) if patches is None else patches)
        self.latent_channels: int = patcher.model.latent_format.latent_channels
        self.model_type: str = patcher.model.model_type.name
        self.device: torch.device = patcher.load_device
        # Cross-attention; elsewhere text that is there twice counts twice.
        self.repeats_text = isinstance(self._model.diffusion_model, UNetModel)
        # fp16 gradients of a mean over an image lie below its smallest normal number.
        self.loss_scale = 2.0**15 if _compute_dtype(patcher) == torch.float16 else 1.0

    def sigmas(self, u: Tensor) -> Tensor:
        """See `dti_core.training.backend.Denoiser`."""
        schedule: Tensor = self._sampling.sigmas.float()
        return schedule[(u * len(schedule)).long().to(schedule.device)]

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """See `dti_core.training.backend.Denoiser`. Call inside `differentiable`."""
        x0 = self._model.process_latent_in(latents)
        x_t = self._sampling.noise_scaling(sigma, noise, x0)
        denoised = self._network(x_t, sigma, self._inputs(conditioning, noise, framing))
        return per_sample_mse(self._error(denoised, x0, sigma), weights)

    def check_conditioning(self, conditioning: Conditioning) -> None:
        """Raise ValueError where the text encoder belongs to another kind of model."""
        config = self._model.model_config.unet_config
        wanted, got = _context_width(config), conditioning.context.shape[-1]
        if wanted is not None and wanted != got:
            raise ValueError(
                f"This clip gives conditioning {got} wide, but the model takes {wanted}. "
                "Connect the CLIP output of the checkpoint that the model comes from."
            )

    def check_latents(self, image: TrainingImage) -> None:
        """Raise ValueError where the VAE belongs to another kind of model."""
        wanted, channels = self.latent_channels, image.mean.shape[0]
        if wanted != channels:
            raise ValueError(
                f"This vae gives latents of {channels} channels, but the model takes {wanted}. "
                "Connect the VAE output of the checkpoint that the model comes from."
            )

    def check_sampling(self, image: TrainingImage, text_encoder: TextEncoder) -> None:
        """Raise ValueError where nodes have given the model a sampling for which its network was not trained.

        Which of two kinds it was trained for shows on an image. A patch may well be the right one: not every
        v-prediction or flow checkpoint says that it is one.
        """
        own = own_sampling(self._model).to(self.device)
        patched, expected = kind_of(self._sampling), kind_of(own)
        if not self._is_resampled or patched == expected:
            return
        with torch.no_grad():
            vectors = {key: torch.zeros(1, vocabulary.dim) for key, vocabulary in text_encoder.vocabularies.items()}
            conditioning = text_encoder.encode(image.captions[:1], vectors)
        levels = noise_ratios(own)[[int(u * len(own.sigmas)) for u in (0.3, 0.5, 0.7)]]
        error, own_error = (self._image_error(s, levels, image, conditioning) for s in (self._sampling, own))
        if error > own_error:
            raise ValueError(
                f"A node makes this model sample as {patched}, but its network was trained as {expected}: of noisy "
                f"copies of the first image it gets {error:.2f} wrong, otherwise {own_error:.2f}. Connect DTI Train's "
                "model from before that node (ModelSampling...)."
            )

    @torch.no_grad()
    def _image_error(
        self, sampling: ModelSampling, levels: Tensor, image: TrainingImage, conditioning: Conditioning
    ) -> float:
        """How far the image is missed from these ratios of noise to image: 1 for who shows its mean."""
        edge = min(*image.mean.shape[-2:], LARGEST_EDGE)
        x0 = self._model.process_latent_in(image.mean[None, :, :edge, :edge].to(self.device))
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        size = edge * image.pixels_per_latent
        inputs = self._inputs(conditioning, noise, torch.tensor([[*image.original_size, 0, 0, size, size]]))
        ratios, errors = noise_ratios(sampling), []
        before = self._model.model_sampling
        self._model.model_sampling = sampling
        try:
            for level in levels:
                sigma = sampling.sigmas.float()[(ratios.log() - level.log()).abs().argmin()].reshape(1)
                denoised = self._network(sampling.noise_scaling(sigma, noise, x0), sigma, inputs)
                errors.append(float((denoised - x0).var() / x0.var()))
        finally:
            self._model.model_sampling = before
        return sum(errors) / len(errors)


def _compute_dtype(patcher: ModelPatcher) -> torch.dtype:
    dtype: torch.dtype = patcher.get_model_object("manual_cast_dtype") or patcher.model.get_dtype()
    return dtype


def _context_width(config: Mapping[str, Any]) -> int | None:
    """How wide a network with this configuration takes text, None where it does not say."""
    embedder = config.get("context_embedder_config", {}).get("params", {})
    known = (config.get("context_dim"), config.get("context_in_dim"), config.get("cap_feat_dim"))
    return next((width for width in (*known, embedder.get("in_features")) if width is not None), None)
