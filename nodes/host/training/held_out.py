"""The loss of held-out images during a run, by the models that are being trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ....dti_core.methods import Options
from ....dti_core.training.backend import Conditioning
from ....dti_core.training.data import TrainingImage
from ....dti_core.training.evaluation_set import EvaluationSet
from ....dti_core.training.validation import DRAWS
from .denoiser import HostDenoiser
from .side_work import SideWork
from .text_encoder import HostTextEncoder

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class HeldOutLoss:
    """Measures vectors on images that are not trained on; what a `Validation` asks.

    patcher: the model, loaded and open. options: whose part of the noise schedule is measured on.

    What goes wrong, such as memory that runs out, ends the measuring and not the run; `notes` say it.
    """

    def __init__(
        self,
        text_encoder: HostTextEncoder,
        patcher: ModelPatcher,
        images: Sequence[TrainingImage],
        options: Options,
    ) -> None:
        self._side = SideWork("validation")
        self._text_encoder, self._patcher = text_encoder, patcher
        self._images, self._options = images, options
        self._begun, self._spent = time.perf_counter(), 0.0

    def notes(self) -> list[str]:
        """After the run: which share of the time this took, and what went wrong."""
        share = self._spent / max(time.perf_counter() - self._begun, 1e-9)
        return [*filter(None, [self._side.note]), f"validation took {share:.0%} of the time"]

    def __call__(self, vectors: Mapping[str, Tensor], rows: int) -> float:
        if self._side.note:
            return math.nan
        begun = time.perf_counter()
        denoiser = InterruptibleDenoiser(self._patcher)
        device = denoiser.device
        try:
            with self._side.survived(), torch.random.fork_rng([device] if device.type == "cuda" else []):
                size = DRAWS * len(self._images)
                measured = EvaluationSet(self._text_encoder, denoiser, self._images, size, self._options)
                return measured.loss(vectors, rows)
            return math.nan
        finally:
            self._spent += time.perf_counter() - begun


class InterruptibleDenoiser(HostDenoiser):
    """Raises the host's interrupt where Stop is pressed, before its next pass."""

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return super().loss(latents, conditioning, sigma, noise, framing, weights)
