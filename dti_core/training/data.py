"""What a training run sees: images as VAE posteriors, and the batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..methods import Options
from .captions import behind_zeros, embedding_alone
from .masks import subject_crops

RECIPE = Options()
# The largest float32 below 1: rounding may bring a noise level up to 1, which no schedule has.
MOST_U = 1 - 2**-24
# In front of a caption, as the reference has it.
MOST_ZEROS = 15


@dataclass(frozen=True)
class TrainingImage:
    """One image, encoded once.

    mean, std: the VAE's posterior, `[C, h, w]` float32 on the CPU.
    original_size: height and width in pixels before resizing.
    captions: what may be said of it, each with `{}` where the concept's name stands, or a slot for each of several
        (`captions.SLOT`); one is drawn per use.
    pixels_per_latent: edge of the square of pixels behind one latent.
    weights: of the latents' errors in the loss, `[h, w]` float32 on the CPU (`masks.loss_weights`); None for a plain
        mean. All images of a run have them, or none.
    window: rows and columns of its crops in latents; None for the largest square, whose edge is equal for all images
        of a run.
    repeats: how often it is drawn, beside other images with repeats of their own.
    """

    mean: Tensor
    std: Tensor
    original_size: tuple[int, int]
    captions: tuple[str, ...]
    pixels_per_latent: int = 8
    weights: Tensor | None = None
    window: tuple[int, int] | None = None
    repeats: int = 1

    @property
    def crop_size(self) -> tuple[int, int]:
        """Rows and columns of its crops, in latents."""
        edge = min(self.mean.shape[-2:])
        return self.window or (edge, edge)

    @cached_property
    def corners(self) -> Tensor:
        """Where the top left of a crop may lie, bool by row and column, in latents. Looked for once: it takes long."""
        (height, width), (rows, columns) = self.mean.shape[-2:], self.crop_size
        if self.weights is None:
            return torch.ones((height - rows + 1, width - columns + 1), dtype=torch.bool)
        return subject_crops(self.weights, (rows, columns))


@dataclass(frozen=True)
class Pass:
    """Samples of one shape, which can go through the network together.

    rows: which of the batch they are, int64 `[b]`. latents, noise: `[b, C, h, w]`. framing: int64 `[b, 6]` on the CPU.
    weights: of the loss, `[b, 1, h, w]`; None where the images have none.
    """

    rows: Tensor
    latents: Tensor
    noise: Tensor
    framing: Tensor
    weights: Tensor | None


@dataclass(frozen=True)
class Batch:
    """One step's data, of B samples: latents and noise `[C, h, w]` each, u `[B]` in [0, 1), framing int64 `[B, 6]`.

    weights: of the loss, `[1, h, w]` for each; None where the images have none.
    """

    latents: tuple[Tensor, ...]
    noise: tuple[Tensor, ...]
    u: Tensor
    framing: Tensor
    captions: tuple[str, ...]
    weights: tuple[Tensor, ...] | None = None

    def distinct_captions(self) -> tuple[list[str], Tensor]:
        """Each caption once, and which of them every picture has, int64 `[B]`."""
        distinct = list(dict.fromkeys(self.captions))
        return distinct, torch.tensor([distinct.index(caption) for caption in self.captions])

    def passes(self, most: int, device: torch.device) -> list[Pass]:
        """All of it on the device, in passes of up to `most` samples of one shape."""
        by_shape: dict[torch.Size, list[int]] = {}
        for row, latents in enumerate(self.latents):
            by_shape.setdefault(latents.shape, []).append(row)
        chunks = [rows[start : start + most] for rows in by_shape.values() for start in range(0, len(rows), most)]
        return [self._pass(rows, device) for rows in chunks]

    def _pass(self, rows: Sequence[int], device: torch.device) -> Pass:
        def stacked(tensors: Sequence[Tensor]) -> Tensor:
            return torch.stack([tensors[row] for row in rows]).to(device)

        return Pass(
            rows=torch.tensor(rows).to(device),
            latents=stacked(self.latents),
            noise=stacked(self.noise),
            framing=self.framing[list(rows)],
            weights=None if self.weights is None else stacked(self.weights),
        )


def draw_batch(
    images: Sequence[TrainingImage], batch_size: int, generator: torch.Generator, options: Options = RECIPE
) -> Batch:
    """Draw images, crops, posterior samples, captions, noise levels and noise.

    The crop is taken from the posterior, in steps of one latent: it replaces a random crop in pixels
    (reference recipe) without encoding again. Where images have weights, it shows the subject. Images are drawn
    without replacement where the batch allows, each as many times as it is repeated.
    Noise levels are uniform over the range of `options`, which may drop captions, and move them by vectors of zeros.
    """
    pool = [image for image in images for _ in range(image.repeats)]
    rounds = -(-batch_size // len(pool))
    order = torch.cat([torch.randperm(len(pool), generator=generator) for _ in range(rounds)])[:batch_size]
    latents, framing, captions, weights = [], [], [], []
    for index in order.tolist():
        image = pool[index]
        rows, columns = image.crop_size
        top, left = _corner(image.corners, generator)
        window = (slice(None), slice(top, top + rows), slice(left, left + columns))
        if image.weights is not None:
            weights.append(image.weights[None][window])
        sample = torch.randn((image.mean.shape[0], rows, columns), generator=generator)
        latents.append(image.mean[window] + image.std[window] * sample)
        scale = image.pixels_per_latent
        framing.append([*image.original_size, top * scale, left * scale, rows * scale, columns * scale])
        captions.append(image.captions[_integer(len(image.captions), generator)])
    noise = torch.randn(sum(one.numel() for one in latents), generator=generator)
    u = torch.rand(batch_size, generator=generator)
    if options.caption_dropout:
        dropped = (torch.rand(batch_size, generator=generator) < options.caption_dropout).tolist()
        captions = [embedding_alone(text) if drop else text for drop, text in zip(dropped, captions, strict=True)]
    if options.zero_pad:
        drawn = -options.zero_pad * torch.log1p(-torch.rand(batch_size, generator=generator))
        counts = drawn.long().clamp(max=MOST_ZEROS).tolist()
        captions = [behind_zeros(text, count) for text, count in zip(captions, counts, strict=True)]
    parts = torch.split(noise, [one.numel() for one in latents])
    return Batch(
        latents=tuple(latents),
        noise=tuple(part.reshape(one.shape) for part, one in zip(parts, latents, strict=True)),
        u=noise_levels(_stratified(u) if options.stratified else u, options),
        framing=torch.tensor(framing),
        captions=tuple(captions),
        weights=tuple(weights) if weights else None,
    )


def _corner(corners: Tensor, generator: torch.Generator) -> tuple[int, int]:
    """Top and left of a crop, in latents."""
    tops = corners.any(dim=1).nonzero().flatten().tolist()
    top: int = tops[_integer(len(tops), generator)]
    lefts = corners[top].nonzero().flatten().tolist()
    return top, lefts[_integer(len(lefts), generator)]


def noise_levels(u: Tensor, options: Options) -> Tensor:
    """`u` (`[B]`, in [0, 1)) brought to the range of the schedule, in which 0 is the cleanest level."""
    least = 1 - options.noise_end
    return (least + (options.noise_end - options.noise_start) * u).clamp(max=MOST_U)


def _stratified(u: Tensor) -> Tensor:
    """Each of them in a part of [0, 1) of its own."""
    return (torch.arange(len(u)) + u) / len(u)


def _integer(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
