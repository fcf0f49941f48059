"""A fixed set of noisy images to measure vectors on: to choose a word to start from, or a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..methods import Options
from .backend import Denoiser, TextEncoder
from .data import RECIPE, TrainingImage, draw_batch, noise_levels

SIZE = 24
SEED = 9001


class EvaluationSet:
    """Images of the concept with crops, noise, captions and noise levels that never change.

    size: how often they are seen, each time at another noise level, evenly over the range of `options`.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        denoiser: Denoiser,
        images: Sequence[TrainingImage],
        size: int = SIZE,
        options: Options = RECIPE,
    ) -> None:
        self._text_encoder, self._denoiser = text_encoder, denoiser
        self._batch = draw_batch(images, size, torch.Generator().manual_seed(SEED))
        self._u = noise_levels((torch.arange(size) + 0.5) / size, options)

    def loss(self, vectors: Mapping[str, Tensor], rows: int = 0) -> float:
        """The mean of `losses`."""
        return float(self.losses(vectors, rows).mean())

    @torch.no_grad()
    def losses(self, vectors: Mapping[str, Tensor], rows: int = 0) -> Tensor:
        """The loss of each noisy image, `[size]`, with `vectors` (`[n_vectors, dim]` by encoder key) as the concept.

        rows: how many may pass through the network at a time, of one shape; 0 for all.
        """
        batch, device = self._batch, self._denoiser.device
        captions, index = batch.distinct_captions()
        conditioning = self._text_encoder.encode(captions, {key: v.to(device) for key, v in vectors.items()})
        of_samples = conditioning.select(index)
        sigma = self._denoiser.sigmas(self._u).to(device)
        passes = batch.passes(rows or len(batch.captions), device)
        losses = [
            self._denoiser.loss(
                one.latents, of_samples.select(one.rows), sigma[one.rows], one.noise, one.framing, one.weights
            )
            for one in passes
        ]
        return torch.cat(losses)[torch.cat([one.rows for one in passes]).argsort()]

    def best_word(self, words: Sequence[str]) -> str:
        """The word of one token, as it stands in the vocabulary, with the least loss."""
        return min((word for word in words if self._is_one_token(word)), key=self._loss_of_word)

    def _loss_of_word(self, word: str) -> float:
        ids = self._text_encoder.token_ids(word)
        tables = self._text_encoder.vocabularies
        return self.loss({key: table.rows(ids[key]).cpu() for key, table in tables.items()})

    def _is_one_token(self, word: str) -> bool:
        return all(len(ids) == 1 for ids in self._text_encoder.token_ids(word).values())
