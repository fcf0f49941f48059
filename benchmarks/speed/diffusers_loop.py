"""Textual Inversion in the way of diffusers' SDXL script, for the time that it takes.

What that script does is done here: each pass encodes its images with the VAE and its captions, tokenised anew, with
both text encoders, within one graph; both token tables get dense gradients, AdamW moves all of their rows, and the rows
that were not to move are put back. Its microbatch is a batch of its own (gradient accumulation). The network, the VAE
and the tokenizer are the host's, so that only the loop differs; the text encoders are those of transformers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import small_sdxl
import torch
import torch.nn.functional as F
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from torch import Tensor

from benchmarks.speed.floor import VOCABULARY, clip_encoders
from benchmarks.speed.world import WORD, World

SCHEDULE = 1000


class DiffusersLoop:
    """One optimizer step per call. world: loaded outside of inference mode."""

    def __init__(self, world: World, batch_size: int, microbatch_size: int) -> None:
        self._unet = world.model.model.diffusion_model
        self._vae = world.vae.first_stage_model
        self._pictures = torch.stack(list(world.pictures)).movedim(-1, 1)
        self._passes = [microbatch_size or batch_size] * (batch_size // (microbatch_size or batch_size))
        self._tokenizers = [world.clip.tokenizer.clip_l.tokenizer, world.clip.tokenizer.clip_g.tokenizer]
        self._encoders = [encoder.requires_grad_(False) for encoder in clip_encoders()]
        self._tables = [encoder.get_input_embeddings().weight.requires_grad_() for encoder in self._encoders]
        self._originals = [table.detach().clone() for table in self._tables]
        self._optimizer = torch.optim.AdamW(self._tables, lr=5e-4)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, SCHEDULE) ** 2
        self._alphas = (1 - betas).cumprod(0)
        self._random = random.Random(0)

    def __call__(self) -> float:
        total = 0.0
        for number, size in enumerate(self._passes, start=1):
            loss = self._loss(size) / len(self._passes)
            loss.backward()
            total += loss.item()
            if number == len(self._passes):
                self._optimizer.step()
                self._optimizer.zero_grad()
            self._restore()  # as there, in every pass, whether or not the optimizer has moved the rows
        return total

    def _loss(self, size: int) -> Tensor:
        captions = [self._random.choice(OBJECT_TEMPLATES).format(WORD) for _ in range(size)]
        pixels = self._pictures[[self._random.randrange(len(self._pictures)) for _ in range(size)]]
        with torch.no_grad():
            latents = self._vae.encode(pixels * 2 - 1)
        noise, steps = torch.randn_like(latents), torch.randint(SCHEDULE, (size,))
        alpha = self._alphas[steps].reshape(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        context, pooled = self._encode(captions)
        y = torch.cat([pooled, torch.zeros(size, small_sdxl.UNET["adm_in_channels"] - pooled.shape[1])], dim=1)
        predicted = self._unet(noisy, steps.float(), context=context, y=y, transformer_options={})
        return F.mse_loss(predicted, noise)

    def _encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        states = []
        for tokenizer, encoder in zip(self._tokenizers, self._encoders, strict=True):
            ids = tokenizer(captions, padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
            word = tokenizer(WORD)["input_ids"][1]
            result = encoder(torch.where(ids == word, VOCABULARY, ids), output_hidden_states=True)
            states.append(result.hidden_states[-2])
        return torch.cat(states, dim=-1), result.text_embeds

    @torch.no_grad()
    def _restore(self) -> None:
        keep = torch.ones(VOCABULARY + 1, dtype=torch.bool)
        keep[VOCABULARY] = False
        for table, original in zip(self._tables, self._originals, strict=True):
            table[keep] = original[keep]
