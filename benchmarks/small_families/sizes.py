"""Sizes that the small families share."""

from __future__ import annotations

from typing import Any

CLIP_WIDTH = 64
HEAD_CHANNELS = 16
LAYERS = 3

# SD 1.5's and 2.x's UNet with a tenth of the channels.
UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,  # GroupNorm(32) allows no less
    "channel_mult": [1, 2, 2, 2],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "adm_in_channels": None,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
    "legacy": False,
}


def clip_config(width: int) -> dict[str, int]:
    """What a text encoder of this width changes in the host's CLIP configuration."""
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // HEAD_CHANNELS,
        "num_hidden_layers": LAYERS,
        "projection_dim": width,
    }


# T5-XXL, but for what its vocabulary gives.
T5_WIDTH = 64
T5 = {"d_model": T5_WIDTH, "d_ff": 128, "d_kv": 16, "num_heads": 4, "num_layers": 2}

# Qwen3-4B; its vocabulary and the width of its heads are what they are.
QWEN_WIDTH = 64
QWEN = {
    "hidden_size": QWEN_WIDTH,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
