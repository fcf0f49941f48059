"""The training loop: the same for Directional Textual Inversion and the methods beside it."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..methods import Method
from .backend import Denoiser, TextEncoder
from .config import StepReport, TrainingConfig
from .data import Batch, TrainingImage, draw_batch
from .loss_scale import LossScale
from .start import start_method
from .state import Run, TrainingState
from .validation import Validation, ValidationTogether

# Steps in a row without a finite loss and gradient. A loss scale comes down from its largest value in 24.
MOST_BROKEN_STEPS = 25


def _give_up(error: RuntimeError) -> int:
    raise error


def train(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    images: Sequence[TrainingImage],
    config: TrainingConfig,
    on_step: Callable[[StepReport], None] = lambda report: None,
    spare_memory: Callable[[RuntimeError], int] = _give_up,
    method: Method | None = None,
    resume: TrainingState | None = None,
    validation: Validation | ValidationTogether | None = None,
) -> dict[str, Tensor]:
    """Train the vectors of a concept. Batches depend on the seed alone, so that all methods see the same.

    Args:
        text_encoder, denoiser: the host's model; nothing of theirs is changed.
        images: at least one.
        config: the recipe.
        on_step: called after every step; what it raises ends the run.
        spare_memory: called with the error of a step that failed, when all that the step held is released; returns
            the images per pass with which the same step is tried again, or raises what ends the run.
        method: at its start; None for the one that `config` names.
        resume: the state to go on from, of the same images, model and settings (`fingerprints.differences` tells);
            then the vectors are those of the run that was not stopped. It may be of a run of fewer steps.
        validation: measures the vectors on the way, which changes none of them, and may end the run; it has the best.

    Returns:
        The vectors of the last step by encoder key, `[n_vectors, dim]` float32 on the CPU.

    Raises:
        ValueError: no images, unequal image sizes, an initializer the vocabulary does not carry, or a state that
            does not fit.
        FloatingPointError: `MOST_BROKEN_STEPS` steps in a row, or all there are, gave no finite loss and gradient.
    """
    _check_images(images)
    if method is None:
        method = start_method(config, text_encoder)
    run = Run(
        method,
        torch.Generator().manual_seed(config.seed),
        LossScale(denoiser.loss_scale),
        config.microbatch_size or config.batch_size,
        validation,
    )
    if resume is not None:
        _check_steps(resume, config)
        run.go_on_from(resume)
    if validation is not None:
        validation.begin(len(run.losses), method.result(), run.microbatch_size)

    good, broken = run.state(config.steps), 0
    for step in range(good.step + 1, config.steps + 1):
        if validation is not None and validation.is_over:
            break
        batch = draw_batch(images, config.batch_size, run.generator, config.options)
        while True:
            method.zero_grad()
            vectors = method.vectors()
            try:
                loss, gradients = _add_gradients(
                    text_encoder, denoiser, batch, vectors, run.microbatch_size, run.scale.value
                )
                break
            except RuntimeError as error:
                traceback.clear_frames(error.__traceback__)  # they hold what the step has allocated
                run.microbatch_size = spare_memory(error)

        run.scale.update(gradients)
        movement = method.step(config.options.rate_share(step, config.steps))
        run.took_step(loss, movement)
        if validation is not None:
            validation.after(step, method.result(), run.microbatch_size)
        if _are_finite(loss, gradients):
            good, broken = run.state(config.steps), 0
        else:
            broken += 1
        on_step(StepReport(step, loss, method.result(), movement.angle, movement.gradient_norm, movement.moved, good))
        if broken == min(MOST_BROKEN_STEPS, config.steps):
            raise _broken(broken, loss, good.step)
    if validation is not None:
        validation.finish(len(run.losses), method.result(), run.microbatch_size)
    return method.result()


def _add_gradients(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    batch: Batch,
    vectors: Mapping[str, Tensor],
    microbatch_size: int,
    loss_scale: float,
) -> tuple[float, list[Tensor]]:
    """Add the gradient of the batch's mean loss to what `vectors` come from; returns that loss, and the gradient.

    Each distinct caption is encoded once. The network sees leaves, so that one backward pass through the text
    encoders serves all its passes.
    """
    device = denoiser.device
    captions, caption_index = batch.distinct_captions()
    caption_index = caption_index.to(device)
    passes = batch.passes(microbatch_size, device)
    sigma = denoiser.sigmas(batch.u).to(device)
    inputs = {key: value.detach().to(device).requires_grad_() for key, value in vectors.items()}
    conditioning = text_encoder.encode(captions, inputs)
    leaf = conditioning.detached()

    batch_size = len(batch.captions)
    loss = torch.zeros(1, device=device)
    for one in passes:
        losses = denoiser.loss(
            one.latents, leaf.select(caption_index[one.rows]), sigma[one.rows], one.noise, one.framing, one.weights
        )
        torch.autograd.backward(losses.sum() * (loss_scale / batch_size))
        loss += losses.detach().sum() / batch_size
    conditioning.backward(leaf, loss_scale)

    # The one moment of a step at which the CPU waits for the device.
    received = [torch.zeros_like(v) if v.grad is None else v.grad for v in inputs.values()]
    read = torch.cat([loss, *(gradient.flatten() for gradient in received)]).cpu()
    parts = torch.split(read, [1, *(v.numel() for v in vectors.values())])
    gradients = [part.reshape(v.shape) for part, v in zip(parts[1:], vectors.values(), strict=True)]
    torch.autograd.backward(list(vectors.values()), gradients)
    return float(parts[0]), gradients


def _are_finite(loss: float, gradients: Sequence[Tensor]) -> bool:
    return math.isfinite(loss) and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def _broken(count: int, loss: float, good: int) -> FloatingPointError:
    return FloatingPointError(
        f"The loss or its gradient was not a finite number in {count} steps in a row (the last loss is {loss}), so "
        f"training stopped; step {good} is the last good one. Try the model in bf16 or fp32 instead of fp16, a lower "
        "resolution, or without LoRAs and patches."
    )


def _check_steps(state: TrainingState, config: TrainingConfig) -> None:
    if state.step > config.steps:
        raise ValueError(
            f"The state to resume from is at step {state.step}, and steps is {config.steps}: set steps to "
            f"{state.step} or more, or train from the start."
        )


def _check_images(images: Sequence[TrainingImage]) -> None:
    if not images:
        raise ValueError("There are no images to train on. Connect 3 to 6 images of the subject or style.")
    edges = {min(image.mean.shape[-2:]) for image in images if image.window is None}
    if len(edges) > 1:
        raise ValueError(f"The latents' short sides differ: {sorted(edges)}. Resize all images to one resolution.")
    if len({image.weights is None for image in images}) > 1:
        raise ValueError("Some images have weights of the loss and some have none. Give masks for all images, or none.")
