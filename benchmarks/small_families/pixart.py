"""PixArt Alpha and Sigma: T5-XXL, eps."""

from __future__ import annotations

from typing import Any

import comfy.ops
import comfy.supported_models
import torch
from comfy.ldm.pixart.pixartms import PixArtMS
from comfy.text_encoders.pixart_t5 import PixArtTokenizer, pixart_te

from .family import Family, small_config, small_encoders
from .sizes import T5, T5_WIDTH

NETWORK: dict[str, Any] = {
    "image_model": "pixart_sigma",
    "num_heads": 4,
    "patch_size": 2,
    "hidden_size": 48,
    "in_channels": 4,
    "depth": 2,
    "model_max_length": 300,
    "caption_channels": T5_WIDTH,
    "micro_condition": False,
}
ALPHA = {**NETWORK, "image_model": "pixart_alpha", "micro_condition": True, "model_max_length": 120}
UNSEEN = ("num_heads", "hidden_size", "caption_channels")
ENCODER = small_encoders(pixart_te(), {"t5xxl": T5})


def _network(**config: Any) -> PixArtMS:
    # It reads numbers from a tensor while it is made, which a meta tensor does not have.
    with torch.device("cpu"):
        return PixArtMS(**config, operations=comfy.ops.manual_cast, device="meta")


def _family(name: str, title: str, kind: Any, network: dict[str, Any]) -> Family:
    config = small_config(kind, network, PixArtTokenizer, ENCODER, extra=UNSEEN, match=("depth",))
    return Family(name, title, config, network, ("t5xxl",), module=_network, size=384, clip_type="pixart")


FAMILIES = (
    _family("pixart_sigma", "PixArt Sigma", comfy.supported_models.PixArtSigma, NETWORK),
    _family("pixart_alpha", "PixArt Alpha", comfy.supported_models.PixArtAlpha, ALPHA),
)
