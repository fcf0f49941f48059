"""One training loop for all methods but the product's own: the batches and losses of dti_core.training.train.

What differs between methods is an `Update`: which parameters there are, and how a gradient moves them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from dti_pack.dti_core import sphere
from dti_pack.dti_core.training import StepReport
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import Batch, TrainingImage, draw_batch
from torch import Tensor

OnStep = Callable[[StepReport], None]
Vectors = dict[str, Tensor]


class Update(Protocol):
    """A parametrisation of the vectors and the rule by which they move."""

    prior: Mapping[str, Tensor]  # unit rows `[n_vectors, dim]` that angles are reported against

    def vectors(self) -> Vectors:
        """What goes into the text encoder, `[n_vectors, dim]`, differentiable in the parameters."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def step(self, number: int) -> dict[str, float]:
        """Move, after backward; returns the norm of the data gradient by encoder key."""

    def found(self) -> Vectors:
        """What would be kept if this were the last step, detached."""


def descend(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    images: Sequence[TrainingImage],
    update: Update,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    stratified: bool = False,
    on_step: OnStep = lambda report: None,
) -> Vectors:
    """Run `update` on the batches that dti_core.training.train would draw with the same seed."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(1, steps + 1):
        batch = draw_batch(images, batch_size, generator)
        u = (torch.arange(batch_size) + batch.u) / batch_size if stratified else batch.u
        update.zero_grad()
        loss = mean_loss(text_encoder, denoiser, batch, u, update.vectors())
        loss.backward()
        norms = update.step(number)
        found = update.found()
        on_step(
            StepReport(
                step=number,
                loss=float(loss.detach()),
                vectors=found,
                angle_to_prior={key: _degrees(rows, update.prior[key]) for key, rows in found.items()},
                data_gradient_norm=norms,
                moved=True,
            )
        )
    return update.found()


def mean_loss(
    text_encoder: TextEncoder, denoiser: Denoiser, batch: Batch, u: Tensor, vectors: Mapping[str, Tensor]
) -> Tensor:
    """The batch's mean loss at noise levels `u` `[B]` in [0, 1); each distinct caption is encoded once.

    One pass and no loss scale: the small world is trained in float32.
    """
    captions = list(dict.fromkeys(batch.captions))
    index = torch.tensor([captions.index(caption) for caption in batch.captions])
    conditioning = text_encoder.encode(captions, vectors).select(index)
    to = denoiser.device
    losses = denoiser.loss(
        batch.latents.to(to), conditioning, denoiser.sigmas(u).to(to), batch.noise.to(to), batch.framing
    )
    return losses.mean()


def _degrees(rows: Tensor, prior: Tensor) -> float:
    return math.degrees(float(sphere.dist(sphere.projx(rows), prior.to(rows)).mean()))
