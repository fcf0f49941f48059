"""Images of prompts by the graph's own model and sampler, kept on disk as latents until they are scored."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import folder_paths
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ....dti_core.files.atomic_write import write_whole
from ....dti_core.training.fingerprints import DIGEST, digest
from ..training.model_fingerprint import model_fingerprint

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE

log = logging.getLogger(__name__)

FOLDER = "dti_scores"
SAMPLERS, SCHEDULERS = comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS
# Of the host's empty latents; newer hosts bring them to the model's own.
SCALE, CHANNELS = 8, 4
KNOWS_SCALE = "downscale_ratio_spacial" in inspect.signature(comfy.sample.fix_empty_latent_channels).parameters


@dataclass(frozen=True)
class Sampling:
    """As KSampler has it. negative: the negative prompt of all images."""

    steps: int
    cfg: float
    sampler: str
    scheduler: str
    width: int
    height: int
    negative: str = ""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A text as an image is asked for, by a CLIP that understands it, with the seed of its noise."""

    clip: CLIP
    text: str
    seed: int


class Sampler:
    """Makes what is asked for, and finds again what was made before.

    A sample is known by the models' weights, the tokens with all vectors in them, the settings and the seed. What
    cannot be kept is made again another time, and `problem` says why.
    """

    def __init__(self, model: ModelPatcher, clip: CLIP, sampling: Sampling) -> None:
        self.problem = ""
        self._model, self._clip, self._sampling = model, clip, sampling
        self._common = (model_fingerprint(model), model_fingerprint(clip.patcher), clip.layer_idx, astuple(sampling))
        self._negative: Any = None

    def file(self, prompt: Prompt) -> Path:
        """Where the latent of a prompt is kept."""
        name = digest((self._common, prompt.clip.tokenize(prompt.text), prompt.seed)).removeprefix(DIGEST)
        return scores_folder() / "samples" / f"{name}.safetensors"

    def kept(self, prompt: Prompt) -> Tensor | None:
        """The latent `[1, C, ...]`, where it was made before."""
        try:
            return safetensors.torch.load_file(self.file(prompt))["latent"].float()
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError) as error:
            log.warning("DTI: a kept sample cannot be read and is made again: %s", error)
            return None

    def encoded(self, prompt: Prompt) -> Any:
        """The host's conditioning of a prompt."""
        return prompt.clip.encode_from_tokens_scheduled(prompt.clip.tokenize(prompt.text))

    def sample(self, prompt: Prompt, positive: Any, on_step: Callable[[int], None]) -> Tensor:
        """Make the latent `[1, C, ...]` and keep it. on_step: called with the number of steps done.

        Rounded to half precision, as it is kept. Raises the host's interrupt at Stop.
        """
        how = self._sampling
        if self._negative is None:
            self._negative = self._clip.encode_from_tokens_scheduled(self._clip.tokenize(how.negative))
        empty = torch.zeros(
            [1, CHANNELS, how.height // SCALE, how.width // SCALE], device=comfy.model_management.intermediate_device()
        )
        empty = comfy.sample.fix_empty_latent_channels(self._model, empty, *([SCALE] if KNOWS_SCALE else []))
        noise = comfy.sample.prepare_noise(empty, prompt.seed)
        latent: Tensor = comfy.sample.sample(
            self._model, noise, how.steps, how.cfg, how.sampler, how.scheduler, positive, self._negative, empty,
            callback=lambda step, denoised, x, total: on_step(step + 1), disable_pbar=True, seed=prompt.seed,
        )  # fmt: skip
        half = latent.cpu().half().contiguous()
        try:
            write_whole(safetensors.torch.save({"latent": half}), self.file(prompt), overwrite=True)
        except OSError as error:  # the scores are worth more than what a later run is saved
            self.problem = f"Samples are not kept, so that a stopped scoring begins anew: {error}"
        return half.float()


def scores_folder() -> Path:
    """Where tables, and the samples that they are made of, are kept."""
    return Path(folder_paths.get_output_directory(), FOLDER)


def decoded(vae: VAE, latent: Tensor) -> Tensor:
    """The image `[H, W, 3]` in [0, 1] of a latent `[1, C, ...]`, in the 8 bits of a saved image."""
    pixels: Tensor = vae.decode(latent)
    picture = pixels.reshape(-1, *pixels.shape[-3:])[0].float().cpu()
    return (picture.clamp(0, 1) * 255).round() / 255
