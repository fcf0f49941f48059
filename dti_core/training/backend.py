"""What training needs of a host: a text encoder and a denoiser, both differentiable in their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..vocabulary import Vocabulary


@dataclass(frozen=True)
class Conditioning:
    """What the text encoders hand to the denoiser.

    context: `[B, n_tokens, context_dim]`. pooled: `[B, pooled_dim]`, or None where the model has none.
    extra: what the host hands on beside them, by name, for each row, or none; it takes no gradient.
    lengths: of each row's tokens, where they differ and the rest of the row is filled up; None where all count.
    """

    context: Tensor
    pooled: Tensor | None
    extra: Sequence[Mapping[str, object]] = ()
    lengths: Sequence[int] | None = None

    def detached(self) -> Conditioning:
        """A leaf copy that collects gradients of its own."""
        pooled = None if self.pooled is None else self.pooled.detach().requires_grad_()
        return replace(self, context=self.context.detach().requires_grad_(), pooled=pooled)

    def select(self, index: Tensor) -> Conditioning:
        """Rows `index` (`[b]`, int64), in that order."""
        rows = index.tolist() if self.extra or self.lengths is not None else []
        index = index.to(self.context.device)
        return Conditioning(
            self.context[index],
            None if self.pooled is None else self.pooled[index],
            [self.extra[row] for row in rows] if self.extra else (),
            None if self.lengths is None else [self.lengths[row] for row in rows],
        )

    def backward(self, leaf: Conditioning, scale: float) -> None:
        """Send the gradients that `leaf = self.detached()` collected, divided by `scale`, through the encoders."""
        pairs = [(self.context, leaf.context)]
        if self.pooled is not None and leaf.pooled is not None:
            pairs.append((self.pooled, leaf.pooled))
        # An encoder whose vectors do not train may give all of one, and nothing is to go back through it.
        pairs = [pair for pair in pairs if pair[0].requires_grad] or pairs
        torch.autograd.backward([tensor for tensor, _ in pairs], [_gradient(part) / scale for _, part in pairs])


def _gradient(leaf: Tensor) -> Tensor:
    # A denoiser may ignore its pooled input, and then nothing flows back into it.
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


class TextEncoder(Protocol):
    """The model's text encoders behind one call."""

    @property
    def vocabularies(self) -> Mapping[str, Vocabulary]:
        """Frozen token tables by encoder key."""

    def token_ids(self, text: str) -> Mapping[str, Sequence[int]]:
        """Token ids of `text` by encoder key, without start, end and padding."""

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """Encode captions with `vectors[key]` (`[n_vectors, dim]`) where each caption has `{}`.

        A slot such as `{2:4}` (`captions.SLOT`) stands for some of the rows, those of one concept of several;
        `captions.slots` reads them, and refuses those that the encoder has no use for.
        Returns one row per caption, differentiable in the vectors.
        """


class Denoiser(Protocol):
    """The diffusion network and its noise schedule."""

    @property
    def device(self) -> torch.device:
        """Where latents are to be put."""

    @property
    def loss_scale(self) -> float:
        """What to multiply losses by so that gradients survive the network's precision; 1 for float32 and bf16."""

    def sigmas(self, u: Tensor) -> Tensor:
        """Noise levels `[B]` for `u` (`[B]`, in [0, 1)), uniform over the training schedule."""

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The network's own training error per sample, `[B]` float32.

        latents and noise are `[B, C, H, W]`, unscaled as a VAE gives them, conditioning has B rows, sigma is
        `[B]`. framing is int64 `[B, 6]` in pixels: height and width of the image before it was resized,
        top and left of the crop, height and width of the crop (SDXL's size conditioning).
        weights: of each latent's error in its sample's mean, `[B, 1, H, W]` float32; None for a plain mean, where
        images have no masks.
        """
