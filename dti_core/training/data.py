"""What a training run sees: images as VAE posteriors, and the batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..methods import Options
from .captions import embedding_alone
from .masks import subject_offsets

RECIPE = Options()
# The largest float32 below 1: rounding may bring a noise level up to 1, which no schedule has.
MOST_U = 1 - 2**-24


@dataclass(frozen=True)
class TrainingImage:
    """One image, encoded once.

    mean, std: the VAE's posterior, `[C, h, w]` float32 on the CPU, short side equal for all images of a run.
    original_size: height and width in pixels before resizing.
    captions: what may be said of it, each with `{}` where the concept's name stands, or a slot for each of several
        (`captions.SLOT`); one is drawn per use.
    pixels_per_latent: edge of the square of pixels behind one latent.
    weights: of the latents' errors in the loss, `[h, w]` float32 on the CPU (`masks.loss_weights`); None for a plain
        mean. All images of a run have them, or none.
    """

    mean: Tensor
    std: Tensor
    original_size: tuple[int, int]
    captions: tuple[str, ...]
    pixels_per_latent: int = 8
    weights: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """One step's data: latents and noise `[B, C, s, s]`, u `[B]` in [0, 1), framing int64 `[B, 6]`.

    weights: of the loss, `[B, 1, s, s]`; None where the images have none.
    """

    latents: Tensor
    noise: Tensor
    u: Tensor
    framing: Tensor
    captions: tuple[str, ...]
    weights: Tensor | None = None

    def distinct_captions(self) -> tuple[list[str], Tensor]:
        """Each caption once, and which of them every picture has, int64 `[B]`."""
        distinct = list(dict.fromkeys(self.captions))
        return distinct, torch.tensor([distinct.index(caption) for caption in self.captions])


def draw_batch(
    images: Sequence[TrainingImage], batch_size: int, generator: torch.Generator, options: Options = RECIPE
) -> Batch:
    """Draw images, square crops, posterior samples, captions, noise levels and noise.

    The crop is taken from the posterior, in steps of one latent: it replaces a random crop in pixels
    (reference recipe) without encoding again. Where images have weights, it shows the subject. Images are drawn
    without replacement where the batch allows.
    Noise levels are uniform over the range of `options`, which may drop captions.
    """
    order = torch.cat([torch.randperm(len(images), generator=generator) for _ in range(-(-batch_size // len(images)))])[
        :batch_size
    ]
    latents, framing, captions, weights = [], [], [], []
    for index in order.tolist():
        image = images[index]
        height, width = image.mean.shape[-2:]
        edge = min(height, width)
        tops: Sequence[int] = range(height - edge + 1)
        lefts: Sequence[int] = range(width - edge + 1)
        if image.weights is not None:
            tops, lefts = subject_offsets(image.weights, edge)
        top, left = tops[_integer(len(tops), generator)], lefts[_integer(len(lefts), generator)]
        window = (slice(None), slice(top, top + edge), slice(left, left + edge))
        if image.weights is not None:
            weights.append(image.weights[None][window])
        sample = torch.randn((image.mean.shape[0], edge, edge), generator=generator)
        latents.append(image.mean[window] + image.std[window] * sample)
        scale = image.pixels_per_latent
        framing.append([*image.original_size, top * scale, left * scale, edge * scale, edge * scale])
        captions.append(image.captions[_integer(len(image.captions), generator)])
    stacked = torch.stack(latents)
    noise = torch.randn(stacked.shape, generator=generator)
    u = torch.rand(batch_size, generator=generator)
    if options.caption_dropout:
        dropped = (torch.rand(batch_size, generator=generator) < options.caption_dropout).tolist()
        captions = [embedding_alone(text) if drop else text for drop, text in zip(dropped, captions, strict=True)]
    return Batch(
        latents=stacked,
        noise=noise,
        u=_noise_levels(u, options),
        framing=torch.tensor(framing),
        captions=tuple(captions),
        weights=torch.stack(weights) if weights else None,
    )


def _noise_levels(u: Tensor, options: Options) -> Tensor:
    """Uniform `u` (`[B]`, in [0, 1)) brought to the range of the schedule, in which 0 is the cleanest level."""
    if options.stratified:
        u = (torch.arange(len(u)) + u) / len(u)
    least = 1 - options.noise_end
    return (least + (options.noise_end - options.noise_start) * u).clamp(max=MOST_U)


def _integer(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
