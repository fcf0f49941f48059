"""Images of a run's prompts, from its start to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import comfy.model_management
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...run_picture.drawing import PreviewColumn
from .denoiser import HostDenoiser
from .latent_decoder import latent_decoder
from .memory import TrainingMemory
from .preview_sampler import PreviewSampler
from .side_work import SideWork
from .text_encoder import HostTextEncoder

if TYPE_CHECKING:
    from comfy.sd import VAE

# Of the sampler: while it trains, and for the result.
STEPS = 12
FULL_STEPS = 30
# Beyond, every other is dropped: a run may be long, and its picture shows a few.
MOST_KEPT = 32


class Previews:
    """Images of the prompts with the concept as it stands.

    resolution: edge of the squares in pixels; scale: of a latent. prompts: with `{}`. every: steps from one to the
    next, 0 for none at all. memory: whose plan says how many images may pass through the network at a time. read: the
    prompts as the text encoder takes them, where that is otherwise than they are shown.

    What goes wrong with one, such as memory that runs out, ends the previews and not the run: `note` says it.
    """

    def __init__(
        self,
        text_encoder: HostTextEncoder,
        denoiser: HostDenoiser,
        resolution: int,
        scale: int,
        prompts: Sequence[str],
        every: int,
        memory: TrainingMemory,
        read: Sequence[str] = (),
    ) -> None:
        self.prompts = prompts
        self._read = read or prompts
        self.columns: list[PreviewColumn] = []
        self._every = every
        self._side = SideWork("previews")
        self._step = 0
        self._model, self._device = denoiser.patcher.model, denoiser.device
        self._sample = PreviewSampler(
            text_encoder,
            denoiser.patcher,
            resolution // scale,
            resolution,
            rows=lambda: memory.plan.microbatch_size or 1,
        )
        self._decode: Callable[[Tensor], Tensor] | None = None
        self._result: Tensor | None = None

    @property
    def note(self) -> str:
        """Why there are no more of them; "" where there are."""
        return self._side.note

    def is_due(self, step: int) -> bool:
        """Whether the last one is as many steps ago as asked for."""
        return self._is_on and step - self._step >= self._every

    def add(self, label: str, step: int, vectors: Mapping[str, Tensor]) -> None:
        """Make those of one step; `vectors` by encoder key."""
        self._step = step
        if self._is_on:
            with self._side.survived():
                self._show(label, self._sample(self._read, vectors, STEPS))

    def finish(self, vectors: Mapping[str, Tensor]) -> None:
        """Make those of the result, at full steps."""
        if self._is_on:
            with self._side.survived():
                latents = self._sample(self._read, vectors, FULL_STEPS)
                self._result = self._model.process_latent_out(latents).cpu()
                self._show("result", latents)

    def decode_result(self, vae: VAE) -> None:
        """Show the result as the VAE decodes it. It may unload the model: to be called after the training.

        Stop does not end the node any more, which has a result to hand on, but the workflow behind it.
        """
        if self._result is None:
            return
        try:
            with self._side.survived():
                pixels: Tensor = vae.decode(self._result)
                self.columns[-1] = PreviewColumn(self.columns[-1].label, [_image(one) for one in pixels])
        except comfy.model_management.InterruptProcessingException:
            comfy.model_management.interrupt_current_processing()

    @property
    def _is_on(self) -> bool:
        return self._every > 0 and not self.note

    def _show(self, label: str, latents: Tensor) -> None:
        with torch.no_grad():
            decode = self._decode or latent_decoder(self._model.latent_format, self._device)
            self.columns.append(PreviewColumn(label, [_image(decode(latent)) for latent in latents]))
        self._decode = decode
        if len(self.columns) > MOST_KEPT:
            del self.columns[1:-1:2]


def _image(pixels: Tensor) -> Image.Image:
    """Of `[H, W, 3]` in [0, 1]."""
    return Image.fromarray((pixels.cpu().float().numpy().clip(0, 1) * 255).round().astype(np.uint8))
