"""A fixed set of noisy images to measure vectors on, to choose a word to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .backend import Denoiser, TextEncoder
from .data import TrainingImage, draw_batch

SIZE = 24
SEED = 9001


class EvaluationSet:
    """The concept's own images with noise, captions and noise levels that never change."""

    def __init__(
        self, text_encoder: TextEncoder, denoiser: Denoiser, images: Sequence[TrainingImage], size: int = SIZE
    ) -> None:
        self._text_encoder, self._denoiser = text_encoder, denoiser
        self._batch = draw_batch(images, size, torch.Generator().manual_seed(SEED))
        self._u = (torch.arange(size) + 0.5) / size

    @torch.no_grad()
    def loss(self, vectors: Mapping[str, Tensor]) -> float:
        """Mean loss with `vectors` (`[n_vectors, dim]` by encoder key) as the concept; a pass for each shape."""
        batch, device = self._batch, self._denoiser.device
        captions, index = batch.distinct_captions()
        conditioning = self._text_encoder.encode(captions, vectors).select(index)
        sigma = self._denoiser.sigmas(self._u).to(device)
        losses = [
            self._denoiser.loss(
                one.latents, conditioning.select(one.rows), sigma[one.rows], one.noise, one.framing, one.weights
            )
            for one in batch.passes(len(batch.captions), device)
        ]
        return float(torch.cat(losses).mean())

    def best_word(self, words: Sequence[str]) -> str:
        """The word of one token, as it stands in the vocabulary, with the least loss."""
        return min((word for word in words if self._is_one_token(word)), key=self._loss_of_word)

    def _loss_of_word(self, word: str) -> float:
        ids = self._text_encoder.token_ids(word)
        tables = self._text_encoder.vocabularies
        return self.loss({key: table.rows(ids[key]).cpu() for key, table in tables.items()})

    def _is_one_token(self, word: str) -> bool:
        return all(len(ids) == 1 for ids in self._text_encoder.token_ids(word).values())
