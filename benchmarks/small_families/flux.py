"""Flux.1 (CLIP-L for the pooled text, T5-XXL), Chroma (T5-XXL), Flux.2 Klein (Qwen3-4B)."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.ops
import comfy.supported_models
import comfy.text_encoders.flux
from comfy.ldm.chroma.model import Chroma
from comfy.ldm.flux.model import Flux
from comfy.text_encoders.pixart_t5 import PixArtTokenizer, pixart_te

from .family import Family, small_config, small_encoders
from .sizes import CLIP_WIDTH, QWEN, QWEN_WIDTH, T5, T5_WIDTH, clip_config

HIDDEN = 64
SIZES: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "hidden_size": HIDDEN,
    "num_heads": 4,
    "axes_dim": [4, 6, 6],
    "depth": 2,
    "depth_single_blocks": 2,
    "mlp_ratio": 4.0,
    "theta": 10000,
    "qkv_bias": True,
    "patch_size": 2,
    "context_in_dim": T5_WIDTH,
}
FLUX: dict[str, Any] = {**SIZES, "image_model": "flux", "guidance_embed": True, "vec_in_dim": CLIP_WIDTH}
SCHNELL = {**FLUX, "guidance_embed": False}
CHROMA: dict[str, Any] = {
    **SIZES,
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": HIDDEN,
    "hidden_dim": 96,
    "n_layers": 5,
}
KLEIN: dict[str, Any] = {
    **SIZES,
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "axes_dim": [4, 4, 4, 4],
    "mlp_ratio": 3.0,
    "theta": 2000,
    "qkv_bias": False,
    "patch_size": 1,
    "context_in_dim": 3 * QWEN_WIDTH,  # of three layers
    "vec_in_dim": None,
    "guidance_embed": False,
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
}
# What the host takes to be as in the large ones.
UNSEEN = ("num_heads", "axes_dim")
FLUX_ENCODERS = small_encoders(comfy.text_encoders.flux.flux_clip(), {"clip_l": clip_config(CLIP_WIDTH), "t5xxl": T5})
BOTH = ("clip_l", "t5xxl")
T5_ENCODER = small_encoders(pixart_te(), {"t5xxl": T5})


def _known(network: dict[str, Any], kind: type, new: dict[str, Any]) -> dict[str, Any]:
    """The network's sizes, with those that newer hosts ask for as well."""
    fields = kind.__init__.__globals__[f"{kind.__name__}Params"].__dataclass_fields__
    return {**network, **{key: value for key, value in new.items() if key in fields}}


def _family(
    name: str,
    title: str,
    kind: Any,
    network: dict[str, Any],
    tokenizer: type,
    encoders: type,
    keys: tuple[str, ...],
    *extra: str,
) -> Family:
    config = small_config(kind, network, tokenizer, encoders, extra=(*UNSEEN, *extra), match=("hidden_size",))
    module = partial(Chroma if network["image_model"] == "chroma" else Flux, operations=comfy.ops.manual_cast)
    # The host tells Flux.2's TAESD by what a file's name says, and there is no name within a checkpoint.
    clip_type = network["image_model"]
    return Family(name, title, config, network, keys, module=module, with_vae=clip_type != "flux2", clip_type=clip_type)


_MODELS, _TOKENIZER = comfy.supported_models, comfy.text_encoders.flux.FluxTokenizer
_FLUX, _SCHNELL = (_known(network, Flux, {"txt_ids_dims": []}) for network in (FLUX, SCHNELL))
_CHROMA = _known(CHROMA, Chroma, {"txt_ids_dims": [], "vec_in_dim": None})

FAMILIES = [
    _family("flux", "Flux.1 dev", _MODELS.Flux, _FLUX, _TOKENIZER, FLUX_ENCODERS, BOTH),
    _family("flux_schnell", "Flux.1 schnell", _MODELS.FluxSchnell, _SCHNELL, _TOKENIZER, FLUX_ENCODERS, BOTH),
    _family(
        "chroma", "Chroma", _MODELS.Chroma, _CHROMA, PixArtTokenizer, T5_ENCODER, ("t5xxl",), "out_dim", "hidden_dim"
    ),
]
if hasattr(comfy.text_encoders.flux, "klein_te"):  # 0.3.75 has Flux.2 with Mistral alone
    FAMILIES.append(
        _family(
            "klein",
            "Flux.2 Klein 4B",
            _MODELS.Flux2,
            _known(KLEIN, Flux, {"txt_ids_dims": [3]}),
            comfy.text_encoders.flux.KleinTokenizer,
            small_encoders(comfy.text_encoders.flux.klein_te(), {"qwen3_4b": {**QWEN, "num_hidden_layers": 28}}),
            ("qwen3_4b",),
        )
    )
