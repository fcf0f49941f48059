"""SD 2.x: one OpenCLIP ViT-H; eps at 512 px, v-prediction at 768."""

from __future__ import annotations

from typing import Any

import comfy.supported_models
import comfy.text_encoders.sd2_clip
import torch

from .family import Family, small_config, small_encoders, small_tokenizer
from .sizes import UNET, clip_config

# Another than CLIP-L's, as in SD 2.x itself.
WIDTH = 96
NETWORK: dict[str, Any] = {
    **UNET,
    "use_linear_in_transformer": True,
    "context_dim": WIDTH,
    "num_heads": -1,
    "num_head_channels": 16,
}

# A picture's CLIP vector and the noise level on it, of 768 numbers each: the host's entry fixes them.
UNCLIP_NETWORK: dict[str, Any] = {**NETWORK, "num_classes": "sequential", "adm_in_channels": 2 * 768}
LOTUS_NETWORK: dict[str, Any] = {**NETWORK, "num_classes": "sequential", "adm_in_channels": 4}

TOKENIZER = small_tokenizer(comfy.text_encoders.sd2_clip.SD2Tokenizer, {"clip_h": WIDTH})
ENCODERS = small_encoders(comfy.text_encoders.sd2_clip.SD2ClipModel, {"clip_h": clip_config(WIDTH)})
HEADS = ("num_heads", "num_head_channels")
CONFIG = small_config(comfy.supported_models.SD20, NETWORK, TOKENIZER, ENCODERS, HEADS)
UNCLIP_CONFIG = small_config(comfy.supported_models.SD21UnclipL, UNCLIP_NETWORK, TOKENIZER, ENCODERS, HEADS)
LOTUS_CONFIG = small_config(comfy.supported_models.LotusD, LOTUS_NETWORK, TOKENIZER, ENCODERS, HEADS)

# By how much this weight varies the host tells that a file predicts v.
V_MARK = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"

V_BIAS = torch.linspace(-0.3, 0.3, UNET["model_channels"])

SD2 = Family("sd2", "SD 2.1 base (eps)", CONFIG, NETWORK, ("clip_h",))
SD2_V = Family("sd2_v", "SD 2.1 768 (v)", CONFIG, NETWORK, ("clip_h",), {V_MARK: V_BIAS})
SD2_UNCLIP = Family("sd2_unclip", "SD 2.1 unCLIP", UNCLIP_CONFIG, UNCLIP_NETWORK, ("clip_h",), {V_MARK: V_BIAS})
LOTUS = Family("lotus", "Lotus (depth from an image)", LOTUS_CONFIG, LOTUS_NETWORK, ("clip_h",))

FAMILIES = (SD2, SD2_V, SD2_UNCLIP, LOTUS)
