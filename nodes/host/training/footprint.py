"""What a training step keeps for backward, told from the layers of the models before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from comfy.clip_model import CLIPLayer
from comfy.ldm.flux.layers import DoubleStreamBlock, SingleStreamBlock
from comfy.ldm.lumina.model import JointTransformerBlock
from comfy.ldm.modules.diffusionmodules.mmdit import JointBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample
from comfy.ldm.pixart.pixartms import PixArtMSBlock
from comfy.text_encoders.llama import TransformerBlock, TransformerBlockGemma2
from comfy.text_encoders.t5 import T5Block

from .recompute import LAYERS

# Tensors of a layer's output size that autograd keeps for it, counted on the host's layers at SDXL's sizes;
# benchmarks/memory counts them again, and a test holds the estimate against it.
TRANSFORMER_BLOCK = 22.3
FEED_FORWARD = 13.0
RESIDUAL_BLOCK = 7.1
RESIDUAL_BLOCK_INPUT = 2.0  # on the way up it comes with what was skipped
TEXT_LAYER_INPUT = 1.1
LATENT_TO_PIXELS = 8
TOKEN_TO_PIXELS = 16  # of networks that are transformers throughout
# Weights of the UNet's layers at work, cast to the compute dtype or fetched, beside what is kept.
LAYERS_AT_WORK_BYTES = 0.12e9

# Of other layers: elements kept for each that leaves one of its linear maps, counted likewise.
KEPT = {
    DoubleStreamBlock: 2.15,  # with a gradient in the pooled text, as in Flux.1; Klein and Chroma keep less
    SingleStreamBlock: 2.15,
    JointBlock: 2.1,
    JointTransformerBlock: 2.4,
    PixArtMSBlock: 0.95,
    CLIPLayer: 1.21,
    T5Block: 1.4,
    TransformerBlock: 1.9,
    TransformerBlockGemma2: 2.1,
}
# The same for gradients at work within one layer.
GRADIENTS = 1.5
# Image and text have linear maps of their own there.
TWO_STREAMS = (DoubleStreamBlock, JointBlock)


@dataclass(frozen=True)
class Layers:
    """All layers of one kind, in elements that a pass has.

    kept: with all that is inside; inputs: without. largest: kept of the largest one. gradients: at work within it.
    weights, weight: the elements of its weights, and of the largest one of them.
    """

    kept: float = 0.0
    inputs: float = 0.0
    largest: float = 0.0
    gradients: float = 0.0
    weights: float = 0.0
    weight: float = 0.0

    def kept_for(self, is_recomputed: bool) -> float:
        """Elements from the forward pass to the backward pass."""
        return self.inputs if is_recomputed else self.kept

    def at_work(self, is_recomputed: bool) -> float:
        """Elements besides, at the worst moment: a recomputed layer keeps all again while its own backward runs."""
        return self.gradients + (self.largest if is_recomputed else 0.0)

    def cast(self, is_recomputed: bool) -> float:
        """Elements of weights that are not there as they are needed, but cast or fetched for the layer at work.

        A recomputed layer holds all of its own until its backward is done.
        """
        return self.weights if is_recomputed else self.weight


@dataclass(frozen=True)
class Footprint:
    """Sizes of one training run, in bytes unless said otherwise.

    unet_weights, text_weights, token_tables: on the device (0 where that is main memory itself).
    transformer, residual: elements that leave the UNet's transformer and residual blocks, per image.
    largest_transformer, largest_residual: those of the largest single one.
    element_size: of the network's compute dtype. casts: whether its weights are in another.
    text: the layers of the text encoders that train, for all captions of a step. other_text: of those that do not.
    blocks: of a network that is a transformer throughout, per image.
    """

    unet_weights: float
    text_weights: float
    token_tables: float
    transformer: int
    residual: int
    largest_transformer: int
    largest_residual: int
    element_size: int
    text: Layers
    other_text: Layers = Layers()
    blocks: Layers = Layers()
    casts: bool = False

    def network_kept(self, recompute: Collection[str], n_images: int, is_streamed: bool = False) -> float:
        """At the worst moment of the network's passes over `n_images` at a time."""
        return self._unet_kept(recompute, n_images) + self._blocks_kept("dit_block" in recompute, n_images, is_streamed)

    def _unet_kept(self, recompute: Collection[str], n_images: int) -> float:
        if not self.residual:
            return 0.0
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

    def _blocks_kept(self, is_recomputed: bool, n_images: int, is_streamed: bool) -> float:
        elements = self.blocks.kept_for(is_recomputed) + self.blocks.at_work(is_recomputed)
        cast = self.blocks.cast(is_recomputed) if is_streamed or self.casts else 0.0
        return self.element_size * (n_images * elements + cast)

    def text_kept(self, recompute: Collection[str]) -> float:
        """From encoding to the backward pass of the text encoders, which compute in float32."""
        return 4 * self.text.kept_for("text_layer" in recompute)

    def text_at_work(self, recompute: Collection[str], is_streamed: bool = False) -> float:
        """The most that one of their layers takes besides."""
        is_recomputed = "text_layer" in recompute
        most = 0.0
        for layers, again in ((self.text, is_recomputed), (self.other_text, False)):
            fetched = layers.weight if is_streamed else 0.0
            most = max(most, layers.at_work(again) + layers.cast(again) + fetched)
        return 4 * most


def footprint_of(
    unet: torch.nn.Module,
    encoders: torch.nn.Module,
    edge: int,
    tokens: Mapping[str, int],
    element_size: int,
    *,
    n_text: int = 0,
    trained: Collection[str] | None = None,
    casts: bool = False,
) -> Footprint:
    """Count the layers of the host's network and text encoders for images of `edge` pixels.

    tokens: that all captions of a step have, by encoder key. n_text: that stand beside an image's in a network that
    is a transformer throughout. trained: keys of the encoders that train; None for all. casts: see `Footprint`.

    Layers of another kind count nothing.
    """
    elements: dict[str, list[int]] = {"transformer_block": [0], "residual_block": [0]}
    for module in unet.modules():
        if isinstance(module, UNetModel):
            for kind, width, latents_per_position in _unet_layers(module):
                elements[kind].append(width * (edge // LATENT_TO_PIXELS) ** 2 // latents_per_position)
    n_image = (edge // TOKEN_TO_PIXELS) ** 2
    # What refines image or text alone, before they meet, keeps next to nothing.
    blocks = [m for name, m in unet.named_modules() if isinstance(m, LAYERS["dit_block"]) and "refiner" not in name]
    text: dict[bool, list[tuple[torch.nn.Module, int, int]]] = {True: [], False: []}
    for key, count in tokens.items():
        layers = [module for module in getattr(encoders, key).modules() if _is_text_layer(module)]
        text[trained is None or key in trained] += [(layer, 0, count) for layer in layers]
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
        text=_counted(text[True]),
        other_text=_counted(text[False]),
        blocks=_counted((block, n_image, n_text) for block in blocks),
        casts=casts,
    )


def _counted(layers: Iterable[tuple[torch.nn.Module, int, int]]) -> Layers:
    """Layers, each with how many tokens of an image and of text pass through it."""
    kept, inputs, outputs, weights, weight = [0.0], [0.0], [0.0], [0], [0]
    for layer, n_image, n_text in layers:
        maps = {name: m for name, m in layer.named_modules() if isinstance(m, torch.nn.Linear) and not _modulates(name)}
        if isinstance(layer, TWO_STREAMS):
            of_each = [m.out_features * (n_text if _is_of_text(name) else n_image) for name, m in maps.items()]
        else:
            of_each = [m.out_features * (n_image + n_text) for m in maps.values()]
        outputs.append(sum(of_each))
        kept.append(outputs[-1] * next(of_kind for kind, of_kind in KEPT.items() if isinstance(layer, kind)))
        each = TEXT_LAYER_INPUT if isinstance(layer, CLIPLayer) else 1.0
        inputs.append(each * (n_image + n_text) * next(iter(maps.values())).in_features)
        sizes = [parameter.numel() for parameter in layer.parameters()]
        weights.append(sum(sizes))
        weight.append(max(sizes))
    return Layers(sum(kept), sum(inputs), max(kept), GRADIENTS * max(outputs), max(weights), max(weight))


def _modulates(name: str) -> bool:
    """Whether a block's linear map gives its shifts and scales, one for all tokens."""
    return "mod" in name.lower()


def _is_of_text(name: str) -> bool:
    return name.startswith(("txt_", "context_"))


def _is_text_layer(module: torch.nn.Module) -> bool:
    return isinstance(module, LAYERS["text_layer"]) or isinstance(module, LAYERS["language_layer"])


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
