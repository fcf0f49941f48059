"""What a training step keeps for backward, told from the layers of the models before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample

from .recompute import LAYERS

# Tensors of a layer's output size that autograd keeps for it, counted on the host's layers at SDXL's sizes;
# benchmarks/memory counts them again, and a test holds the estimate against it.
TRANSFORMER_BLOCK = 22.3
FEED_FORWARD = 13.0
RESIDUAL_BLOCK = 7.1
RESIDUAL_BLOCK_INPUT = 2.0  # on the way up it comes with what was skipped
TEXT_LAYER = 10.9
TEXT_LAYER_INPUT = 1.1
TEXT_WINDOW = 77  # tokens that CLIP reads at a time
LATENT_TO_PIXELS = 8
# Weights of the layers at work, cast to the compute dtype or fetched, beside what is kept.
LAYERS_AT_WORK_BYTES = 0.12e9


@dataclass(frozen=True)
class Footprint:
    """Sizes of one training run, in bytes unless said otherwise.

    unet_weights, text_weights, token_tables: on the device (0 where that is main memory itself).
    transformer, residual: elements that leave the UNet's transformer and residual blocks, per image.
    largest_transformer, largest_residual: those of the largest single one.
    element_size: of the UNet's compute dtype.
    text: elements that leave the text encoders' layers for all captions of a step. text_at_work: the most that
    one of them takes besides.
    """

    unet_weights: float
    text_weights: float
    token_tables: float
    transformer: int
    residual: int
    largest_transformer: int
    largest_residual: int
    element_size: int
    text: int
    text_at_work: float

    def network_kept(self, recompute: Collection[str], n_images: int) -> float:
        """At the worst moment of the UNet's passes over `n_images` at a time."""
        block, residual = TRANSFORMER_BLOCK, RESIDUAL_BLOCK
        again = 0.0  # a recomputed layer keeps all again while its own backward runs
        if "feed_forward" in recompute:
            block -= FEED_FORWARD - 1
        if "transformer_block" in recompute:
            again, block = block * self.largest_transformer, 1.0
        if "residual_block" in recompute:
            again, residual = max(again, residual * self.largest_residual), RESIDUAL_BLOCK_INPUT
        elements = block * self.transformer + residual * self.residual + again
        return n_images * self.element_size * elements + LAYERS_AT_WORK_BYTES

    def text_kept(self, recompute: Collection[str]) -> float:
        """From encoding to the backward pass of the text encoders, which compute in float32."""
        return 4 * self.text * (TEXT_LAYER_INPUT if "text_layer" in recompute else TEXT_LAYER)


def footprint_of(
    unet: torch.nn.Module, encoders: torch.nn.Module, edge: int, n_captions: int, element_size: int
) -> Footprint:
    """Count the layers of the host's UNet and text encoders for images of `edge` pixels.

    Layers of another kind count nothing, so that for networks that are not UNets the estimate is too low.
    """
    elements: dict[str, list[int]] = {"transformer_block": [0], "residual_block": [0]}
    for module in unet.modules():
        if isinstance(module, UNetModel):
            for kind, width, latents_per_position in _unet_layers(module):
                elements[kind].append(width * (edge // LATENT_TO_PIXELS) ** 2 // latents_per_position)
    text = [m.layer_norm1.weight.shape[0] for m in encoders.modules() if isinstance(m, LAYERS["text_layer"])]
    tables = [m.weight for m in encoders.modules() if isinstance(m, torch.nn.Embedding)]
    return Footprint(
        unet_weights=_size(unet),
        text_weights=_size(encoders),
        token_tables=sum(table.nbytes for table in tables),
        transformer=sum(elements["transformer_block"]),
        residual=sum(elements["residual_block"]),
        largest_transformer=max(elements["transformer_block"]),
        largest_residual=max(elements["residual_block"]),
        element_size=element_size,
        text=sum(text) * TEXT_WINDOW * n_captions,
        text_at_work=4 * TEXT_LAYER * max(text, default=0) * TEXT_WINDOW * n_captions + LAYERS_AT_WORK_BYTES,
    )


def _unet_layers(unet: UNetModel) -> Iterator[tuple[str, int, int]]:
    """Transformer and residual blocks by kind, each with its width, and latents per position at its level."""
    latents_per_position = 1
    middle = () if unet.middle_block is None else (unet.middle_block,)  # KOALA has none
    for stage in (*unet.input_blocks, *middle, *unet.output_blocks):
        for layer in stage.modules():
            if isinstance(layer, Downsample):
                latents_per_position *= 4
            elif isinstance(layer, Upsample):
                latents_per_position //= 4
            elif isinstance(layer, LAYERS["transformer_block"]):
                yield "transformer_block", layer.norm1.weight.shape[0], latents_per_position
            elif isinstance(layer, LAYERS["residual_block"]):
                yield "residual_block", layer.out_channels, latents_per_position


def _size(module: torch.nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters())
