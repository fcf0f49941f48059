"""The gradient of a step's loss for the vectors, on the small world."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import Batch
from torch import Tensor

Gradient = dict[str, Tensor]


def gradient_of(
    text_encoder: TextEncoder, denoiser: Denoiser, batch: Batch, vectors: Mapping[str, Tensor], scale: float = 1.0
) -> Gradient:
    """By encoder key, of the mean loss. scale: losses are multiplied by it on the way back through both models."""
    with torch.inference_mode(False), torch.enable_grad():
        leaves = {key: value.clone().requires_grad_() for key, value in vectors.items()}
        conditioning = text_encoder.encode(batch.captions, leaves)
        sigma = denoiser.sigmas(batch.u)
        (one,) = batch.passes(len(batch.captions), denoiser.device)
        losses = denoiser.loss(one.latents, conditioning.select(one.rows), sigma, one.noise, one.framing)
        (losses.mean() * scale).backward()
    return {key: leaf.grad / scale for key, leaf in leaves.items()}


def degrees_between(one: Tensor, other: Tensor) -> float:
    """The angle between two tensors, each taken as one vector; exact for small angles."""
    a, b = one.flatten().double(), other.flatten().double()
    a, b = a / a.norm(), b / b.norm()
    return math.degrees(2 * math.atan2(float((a - b).norm()), float((a + b).norm())))
