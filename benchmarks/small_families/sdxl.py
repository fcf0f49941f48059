"""SDXL's relatives: other depths, one encoder of the two, more input channels, other predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.sdxl_clip
import comfy.supported_models
import torch
from comfy.supported_models_base import BASE

from .family import Family, small_config, small_encoders, small_tokenizer
from .sizes import CLIP_WIDTH, UNET, clip_config

CLIP_G_WIDTH = 96
TOKENIZER = small_tokenizer(comfy.sdxl_clip.SDXLTokenizer, {"clip_l": CLIP_WIDTH, "clip_g": CLIP_G_WIDTH})
ENCODERS = small_encoders(
    comfy.sdxl_clip.SDXLClipModel, {"clip_l": clip_config(CLIP_WIDTH), "clip_g": clip_config(CLIP_G_WIDTH)}
)
REFINER_ENCODER = small_encoders(comfy.sdxl_clip.SDXLRefinerClipModel, {"clip_g": clip_config(CLIP_G_WIDTH)})

NETWORK: dict[str, Any] = {
    **UNET,
    "channel_mult": [1, 2, 2],
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "transformer_depth_middle": 2,
    "use_linear_in_transformer": True,
    "context_dim": CLIP_WIDTH + CLIP_G_WIDTH,
    "num_classes": "sequential",
    "adm_in_channels": CLIP_G_WIDTH + 6 * 256,
    "num_heads": -1,
    "num_head_channels": 16,
}
SHALLOW: dict[str, Any] = {
    **NETWORK,
    "transformer_depth": [0, 0, 1, 1, 3, 3],
    "transformer_depth_output": [0, 0, 0, 1, 1, 2, 3, 2, 2],
    "transformer_depth_middle": -1,
}
KOALA: dict[str, Any] = {
    **NETWORK,
    "num_res_blocks": [1, 1, 1],
    "transformer_depth": [0, 1, 2],
    "transformer_depth_output": [0, 0, 1, 1, 2, 2],
    "transformer_depth_middle": -2,
}
REFINER: dict[str, Any] = {
    **NETWORK,
    "channel_mult": [1, 2, 2, 2],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [0, 0, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": CLIP_G_WIDTH,
    "adm_in_channels": CLIP_G_WIDTH + 5 * 256,
}

V_PREDICTION = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
EDM = {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)}


BOTH = ("clip_l", "clip_g")


def _family(name: str, title: str, kind: type[BASE], network: Mapping[str, Any]) -> Family:
    config = small_config(kind, network, TOKENIZER, ENCODERS, extra=("num_heads", "num_head_channels"))
    return Family(name, title, config, network, BOTH, clip_type="sdxl")


SDXL = _family("sdxl", "SDXL, Pony, Illustrious", comfy.supported_models.SDXL, NETWORK)
REFINER_CONFIG = small_config(
    comfy.supported_models.SDXLRefiner, REFINER, TOKENIZER, REFINER_ENCODER, ("num_heads", "num_head_channels")
)
FAMILIES = (
    SDXL,
    Family("sdxl_v", "NoobAI, Illustrious (v)", SDXL.config, NETWORK, BOTH, V_PREDICTION, clip_type="sdxl"),
    Family("sdxl_edm", "Playground 2.5 (EDM)", SDXL.config, NETWORK, BOTH, EDM, clip_type="sdxl"),
    Family("sdxl_inpainting", "SDXL inpainting", SDXL.config, {**NETWORK, "in_channels": 9}, BOTH, clip_type="sdxl"),
    _family("ssd_1b", "SSD-1B, Vega", comfy.supported_models.SSD1B, SHALLOW),
    _family("koala", "KOALA", comfy.supported_models.KOALA_700M, KOALA),
    Family("sdxl_refiner", "SDXL refiner", REFINER_CONFIG, REFINER, ("clip_g",)),
)
