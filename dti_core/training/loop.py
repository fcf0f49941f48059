"""Directional Textual Inversion: the training loop."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .. import sphere
from ..riemannian_sgd import RiemannianSGD
from .backend import Denoiser, TextEncoder
from .config import StepReport, TrainingConfig
from .data import Batch, TrainingImage, draw_batch
from .initializer import start_from_word
from .loss_scale import LossScale


def _give_up(error: RuntimeError) -> int:
    raise error


def train(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    images: Sequence[TrainingImage],
    config: TrainingConfig,
    on_step: Callable[[StepReport], None] = lambda report: None,
    spare_memory: Callable[[RuntimeError], int] = _give_up,
) -> dict[str, Tensor]:
    """Learn the direction of a concept (paper Algorithm 1).

    Args:
        text_encoder, denoiser: the host's model; nothing of theirs is changed.
        images: at least one picture.
        config: the recipe.
        on_step: called after every step; what it raises ends the run.
        spare_memory: called with the error of a step that failed, when all that the step held is released; returns
            the images per pass with which the same step is tried again, or raises what ends the run.

    Returns:
        `m* v` by encoder key, `[n_vectors, dim]` float32 on the CPU.

    Raises:
        ValueError: no images, unequal picture sizes, or an initializer the vocabulary does not carry.
    """
    _check_images(images)
    start = start_from_word(
        config.initializer,
        text_encoder.token_ids(config.initializer),
        text_encoder.vocabularies,
        config.magnitude,
        config.n_vectors,
    )
    directions = {key: torch.nn.Parameter(s.direction.clone()) for key, s in start.items()}
    optimizer = RiemannianSGD(
        [{"params": [v], "mu": start[key].direction} for key, v in directions.items()],
        lr=config.learning_rate,
        kappa=config.kappa,
    )
    generator = torch.Generator().manual_seed(config.seed)
    scale = LossScale(denoiser.loss_scale)
    microbatch_size = config.microbatch_size or config.batch_size
    result: dict[str, Tensor] = {}

    for step in range(1, config.steps + 1):
        batch = draw_batch(images, config.batch_size, generator)
        while True:
            optimizer.zero_grad()
            vectors = {key: start[key].magnitude * v for key, v in directions.items()}
            try:
                loss = _add_gradients(text_encoder, denoiser, batch, vectors, microbatch_size, scale.value)
                break
            except RuntimeError as error:
                traceback.clear_frames(error.__traceback__)  # they hold what the step has allocated
                microbatch_size = spare_memory(error)

        scale.update([v.grad for v in directions.values() if v.grad is not None])
        optimizer.step()
        moved = all(bool(optimizer.state[v]["moved"].all()) for v in directions.values())

        result = {key: (start[key].magnitude * v).detach().cpu().clone() for key, v in directions.items()}
        on_step(
            StepReport(
                step=step,
                loss=loss,
                vectors=result,
                angle_to_prior={key: _degrees(v, start[key].direction) for key, v in directions.items()},
                data_gradient_norm={
                    key: float(optimizer.state[v]["data_gradient_norm"].mean()) for key, v in directions.items()
                },
                moved=moved,
            )
        )
    return result


def _add_gradients(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    batch: Batch,
    vectors: Mapping[str, Tensor],
    microbatch_size: int,
    loss_scale: float,
) -> float:
    """Add the gradient of the batch's mean loss to what `vectors` come from; returns that loss.

    Each distinct caption is encoded once. The network sees leaves, so that one backward pass through the text
    encoders serves all its passes.
    """
    device = denoiser.device
    captions = list(dict.fromkeys(batch.captions))
    caption_index = torch.tensor([captions.index(caption) for caption in batch.captions]).to(device)
    latents, noise = batch.latents.to(device), batch.noise.to(device)
    sigma = denoiser.sigmas(batch.u).to(device)
    inputs = {key: value.detach().to(device).requires_grad_() for key, value in vectors.items()}
    conditioning = text_encoder.encode(captions, inputs)
    leaf = conditioning.detached()

    batch_size = len(batch.captions)
    loss = torch.zeros(1, device=device)
    for start in range(0, batch_size, microbatch_size):
        rows = slice(start, start + microbatch_size)
        losses = denoiser.loss(
            latents[rows], leaf.select(caption_index[rows]), sigma[rows], noise[rows], batch.framing[rows]
        )
        torch.autograd.backward(losses.sum() * (loss_scale / batch_size))
        loss += losses.detach().sum() / batch_size
    conditioning.backward(leaf, loss_scale)

    # The one moment of a step at which the CPU waits for the device.
    gradients = [torch.zeros_like(v) if v.grad is None else v.grad for v in inputs.values()]
    read = torch.cat([loss, *(gradient.flatten() for gradient in gradients)]).cpu()
    parts = torch.split(read, [1, *(v.numel() for v in vectors.values())])
    torch.autograd.backward(
        list(vectors.values()), [part.reshape(v.shape) for part, v in zip(parts[1:], vectors.values(), strict=True)]
    )
    return float(parts[0])


def _check_images(images: Sequence[TrainingImage]) -> None:
    if not images:
        raise ValueError("There are no images to learn from. Connect 3 to 6 pictures of the subject or style.")
    edges = {min(image.mean.shape[-2:]) for image in images}
    if len(edges) > 1:
        raise ValueError(f"The latents' short sides differ: {sorted(edges)}. Resize all pictures to one resolution.")


def _degrees(v: Tensor, mu: Tensor) -> float:
    return math.degrees(float(sphere.dist(v.detach(), mu).mean()))
