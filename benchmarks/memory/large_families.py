"""Full-size models of the families whose networks are transformers, on a card that is not there.

Import `comfy_host.in_process` first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import comfy.sd
import comfy.supported_models
import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy.ldm.pixart import blocks as pixart_blocks
from comfy.sd1_clip import SDClipModel
from comfy.supported_models_base import BASE, ClipTarget
from comfy.text_encoders import flux as flux_text
from comfy.text_encoders import lumina2, pixart_t5, sd3_clip, z_image
from dti_pack.nodes.host.training import text_encoder
from small_families import lumina
from small_families.registry import FAMILIES as SMALL

from benchmarks.memory.card import CardPatcher, on_card

FLUX = {"hidden_size": 3072, "num_heads": 24, "axes_dim": [16, 56, 56], "depth": 19, "depth_single_blocks": 38}
SD3_WIDTH = 38 * 64


@dataclass(frozen=True)
class LargeFamily:
    """Where a full-size model differs from the small one of its name in `benchmarks/small_families`.

    kind: the host's entry for it. network: its sizes. target: its text encoders, of the host.
    tokenizer_data: what its file has for the tokenizer.
    """

    kind: type[BASE]
    network: Mapping[str, Any]
    target: ClipTarget
    tokenizer_data: Mapping[str, object] = field(default_factory=dict)


def _families() -> Iterator[tuple[str, LargeFamily]]:
    models = comfy.supported_models
    flux = {**FLUX, "context_in_dim": 4096, "vec_in_dim": 768}
    yield "flux", LargeFamily(models.Flux, flux, ClipTarget(flux_text.FluxTokenizer, flux_text.flux_clip()))
    t5 = ClipTarget(pixart_t5.PixArtTokenizer, pixart_t5.pixart_te())
    chroma = {**FLUX, "context_in_dim": 4096, "out_dim": 3072, "hidden_dim": 5120}
    yield "chroma", LargeFamily(models.Chroma, chroma, t5)
    pixart = {"hidden_size": 1152, "num_heads": 16, "depth": 28, "caption_channels": 4096}
    yield "pixart_sigma", LargeFamily(models.PixArtSigma, pixart, t5)
    sd3 = {
        "depth": 38,
        "adm_in_channels": 2048,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": SD3_WIDTH},
        },
        "num_patches": 36864,
        "pos_embed_max_size": 192,
    }
    for name, has_t5 in (("sd3", False), ("sd3_t5", True)):
        yield name, LargeFamily(models.SD3, sd3, ClipTarget(sd3_clip.SD3Tokenizer, sd3_clip.sd3_clip(t5=has_t5)))
    heads = {"n_heads": 24, "n_kv_heads": 8, "axes_dims": [32, 32, 32]}
    yield (
        "lumina2",
        LargeFamily(
            models.Lumina2,
            {"dim": 2304, "cap_feat_dim": 2304, "n_layers": 26, **heads},
            ClipTarget(lumina2.LuminaTokenizer, lumina2.te()),
            {"spiece_model": lumina.vocabulary()},
        ),
    )
    heads = {"n_heads": 30, "n_kv_heads": 30, "axes_dims": [32, 48, 48]}
    yield (
        "z_image",
        LargeFamily(
            models.ZImage,
            {"dim": 3840, "cap_feat_dim": 2560, "n_layers": 30, **heads},
            ClipTarget(z_image.ZImageTokenizer, z_image.te()),
        ),
    )
    if "klein" in SMALL:
        klein = {**FLUX, "axes_dim": [32] * 4, "depth": 5, "depth_single_blocks": 20, "context_in_dim": 3 * 2560}
        target = ClipTarget(flux_text.KleinTokenizer, flux_text.klein_te())
        yield "klein", LargeFamily(models.Flux2, klein, target)


FAMILIES = dict(_families())
# The host's lists of blocks in networks and encoders.
LISTS = ("double_blocks", "single_blocks", "joint_blocks", "blocks", "block", "layers")


@contextmanager
def large_family(
    name: str, dtype: torch.dtype = torch.bfloat16, n_blocks: int = 0
) -> Iterator[tuple[CardPatcher, comfy.sd.CLIP]]:
    """MODEL and CLIP of a family, loaded on the card.

    dtype: of the network's weights. n_blocks: how many blocks of each list are left, the last ones; 0 for all.
    """
    family = FAMILIES[name]
    config = family.kind({**SMALL[name].network, **family.network})
    config.set_inference_dtype(dtype, None if dtype == torch.bfloat16 else torch.bfloat16)
    with ExitStack() as stack:
        # The host's choice for this process, which PixArt takes whatever it is told.
        stack.enter_context(mock.patch.object(pixart_blocks, "optimized_attention", attention_pytorch))
        # Both ask for values, which are not there.
        stack.enter_context(mock.patch.object(text_encoder, "row_scale", lambda encoder: 1.0))
        stack.enter_context(mock.patch.object(SDClipModel, "encode_token_weights", _with_whole_mask))
        model, clip = stack.enter_context(on_card(config, family.target, torch.bfloat16, **dict(family.tokenizer_data)))
        if n_blocks:
            for module in (model.model, *_encoders_of_one_layer(clip)):
                for blocks in [part for name, part in module.named_modules() if name.rpartition(".")[2] in LISTS]:
                    del blocks[:-n_blocks]
        yield model, clip


def _encoders_of_one_layer(clip: comfy.sd.CLIP) -> list[SDClipModel]:
    """Those whose output is one layer's, so that they can do with fewer layers."""
    encoders = [module for module in clip.cond_stage_model.modules() if isinstance(module, SDClipModel)]
    return [encoder for encoder in encoders if not isinstance(encoder.layer, list)]


def _with_whole_mask(encoder: SDClipModel, windows: list[list[tuple[object, float]]]) -> tuple[Any, ...]:
    output, pooled, *extra = super(SDClipModel, encoder).encode_token_weights(windows)
    masks = [{**one, "attention_mask": torch.ones(one["attention_mask"].shape)} for one in extra]
    return (output, pooled, *masks)
