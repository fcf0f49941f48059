"""Images of prompts while a session is open, from the very models that are being trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from .model_inputs import ModelInputs
from .model_patches import network_patches
from .network import Network
from .text_encoder import HostTextEncoder

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# As most SDXL workflows have it.
GUIDANCE = 5.0
SEED = 0


class PreviewSampler:
    """Euler's method (algorithm 2 of Karras et al. 2022 without its noise and correction, `sample_euler` of
    k-diffusion) with classifier-free guidance (Ho and Salimans 2022), over the host's noise levels.

    patcher: the model, loaded and open. edge: of the images, in latents; pixels: the same in pixels.
    rows: asked before each image for the rows that may pass through the network at a time. A pass without
        gradients takes less than one of a training step with as many.

    Nothing is drawn from a random generator or kept that training draws from or keeps: noise comes from a generator of
    its own.
    """

    def __init__(
        self, text_encoder: HostTextEncoder, patcher: ModelPatcher, edge: int, pixels: int, rows: Callable[[], int]
    ) -> None:
        self._text_encoder = text_encoder
        self._sampling = patcher.get_model_object("model_sampling")
        self._inputs = ModelInputs(patcher.model)
        self._network = Network(patcher, network_patches(patcher))
        self._device: torch.device = patcher.load_device
        self._shape = (patcher.model.latent_format.latent_channels, edge, edge)
        self._pixels = pixels
        self._rows = rows

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], vectors: Mapping[str, Tensor], steps: int) -> Tensor:
        """Latents as the network sees them `[n_prompts, C, edge, edge]`, all from the same noise.

        prompts: `{}` where the vectors (`[n_vectors, dim]` by encoder key) go. Raises the host's interrupt where Stop
        is pressed, before the next pass.
        """
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            return self._sample(prompts, vectors, steps)

    def _sample(self, prompts: Sequence[str], vectors: Mapping[str, Tensor], steps: int) -> Tensor:
        count = len(prompts)
        own = {key: rows.to(self._device) for key, rows in vectors.items()}
        # Each prompt, and for each the empty one.
        conditioning = self._text_encoder.encode([*prompts, ""], own)
        conditioning = conditioning.select(torch.tensor([*range(count), *[count] * count]))
        framing = torch.tensor([[self._pixels, self._pixels, 0, 0, self._pixels, self._pixels]] * (2 * count))

        noise = torch.randn(self._shape, generator=torch.Generator().manual_seed(SEED)).to(self._device)
        sigmas = comfy.samplers.calculate_sigmas(self._sampling, "sgm_uniform", steps).to(self._device)
        noise = noise.expand(count, -1, -1, -1)
        x: Tensor = self._sampling.noise_scaling(sigmas[:1], noise, torch.zeros_like(noise), True)
        for sigma, following in pairwise(sigmas):
            denoised = []
            for index in torch.split(torch.arange(2 * count), self._rows()):
                comfy.model_management.throw_exception_if_processing_interrupted()
                noisy = x[(index % count).to(self._device)]
                inputs = self._inputs(conditioning.select(index), noisy, framing[index])
                denoised.append(self._network(noisy, sigma.expand(len(index)), inputs).float())
            wanted, empty = torch.cat(denoised).chunk(2)
            guided = empty + GUIDANCE * (wanted - empty)
            x = x + (x - guided) / sigma * (following - sigma)
        return x
