"""A test-only ComfyUI pack without nodes: it teaches the stock checkpoint loader a small SDXL.

Everything is SDXL except the sizes: two CLIP text encoders with the real tokenizer and its 49408 words, a
UNet with cross-attention, pooled text and size conditioning, and a four-channel VAE, the host's TAESD.
"""

from typing import Any

import comfy.sdxl_clip
import comfy.supported_models
from comfy.supported_models_base import ClipTarget

IMAGE_SIZE = 128  # what the small world is trained at; the VAE divides it by 8
LATENT_CHANNELS = 4
# SDXL's latent scale. The small VAE works on scaled latents, so its file carries this as vae_scale.
VAE_SCALE = 0.13025

CLIP_L_WIDTH = 64
CLIP_G_WIDTH = 96
TEXT_LAYERS = 12
TEXT_HEAD_CHANNELS = 16

# What the host's UNetModel is built with. Its loader detects the same from the weights of a file.
UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "model_channels": 32,  # GroupNorm(32) allows no less
    # Unlike SDXL. With so few channels to a group the norm takes out what is added to them: neither the time nor the
    # pooled text would be heard. Scaling and shifting behind the norm is.
    "use_scale_shift_norm": True,
    "channel_mult": [1, 3, 4],
    "num_res_blocks": [1, 1, 1],
    # One entry per residual block: one a level on the way down, two on the way up. Like SDXL none at the top.
    "transformer_depth": [0, 1, 1],
    "transformer_depth_output": [0, 0, 1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": CLIP_L_WIDTH + CLIP_G_WIDTH,
    # The pooled clip_g vector and six numbers (sizes and crop) of 256 channels each.
    "adm_in_channels": CLIP_G_WIDTH + 6 * 256,
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "use_temporal_attention": False,
    "legacy": False,
    "num_heads": -1,
    "num_head_channels": 16,
}


def text_config(width: int) -> dict[str, int]:
    """What a text encoder of this width changes in the host's CLIP configuration."""
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // TEXT_HEAD_CHANNELS,
        "num_hidden_layers": TEXT_LAYERS,
        "projection_dim": width,
    }


class SmallTokenizer(comfy.sdxl_clip.SDXLTokenizer):
    """SDXL's tokenizer, told the small widths so that it accepts embedding files of the right shape."""

    def __init__(
        self, embedding_directory: list[str] | None = None, tokenizer_data: dict[str, Any] | None = None
    ) -> None:
        super().__init__(embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {})
        self.clip_l.embedding_size = CLIP_L_WIDTH
        self.clip_g.embedding_size = CLIP_G_WIDTH


class SmallTextEncoders(comfy.sdxl_clip.SDXLClipModel):
    """SDXL's pair of text encoders with small transformers."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        sizes = {
            "clip_l_model_config": text_config(CLIP_L_WIDTH),
            "clip_g_model_config": text_config(CLIP_G_WIDTH),
        }
        super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})


class SmallSDXL(comfy.supported_models.SDXL):
    """SDXL's entry in the host's list of model families, matched by the small sizes."""

    unet_config = {key: UNET[key] for key in comfy.supported_models.SDXL.unet_config}  # noqa: RUF012
    unet_extra_config = {  # noqa: RUF012
        key: UNET[key] for key in ("num_heads", "num_head_channels", "use_scale_shift_norm")
    }

    def clip_target(self, state_dict: dict[str, Any] | None = None) -> ClipTarget:
        return ClipTarget(SmallTokenizer, SmallTextEncoders)


comfy.supported_models.models.append(SmallSDXL)

# Without this name the host reports the pack as broken.
NODE_CLASS_MAPPINGS: dict[str, type] = {}
