"""SD 3 and 3.5: CLIP-L and bigG, with T5-XXL or without."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.ops
import comfy.supported_models
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.supported_models_base import BASE, ClipTarget
from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

from .family import Family, small_config, small_encoders
from .sizes import CLIP_WIDTH, T5, clip_config

CLIP_G_WIDTH = 96
# The host fills both CLIPs' states up to T5-XXL's width, so that it is the one width that cannot be small.
TEXT_WIDTH = 4096
CLIPS = {"clip_l": clip_config(CLIP_WIDTH), "clip_g": clip_config(CLIP_G_WIDTH)}
NETWORK: dict[str, Any] = {
    "input_size": None,
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "adm_in_channels": CLIP_WIDTH + CLIP_G_WIDTH,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": TEXT_WIDTH, "out_features": 128},
    },
    "num_patches": 1024,
    "pos_embed_max_size": 32,
    "pos_embed_scaling_factor": None,
    "qk_norm": "rms",
    "x_block_self_attn_layers": [],
}
MODULE = partial(OpenAISignatureMMDITWrapper, operations=comfy.ops.manual_cast)


ENCODERS = {
    t5: small_encoders(sd3_clip(t5=t5), {**CLIPS, "t5xxl": {**T5, "d_model": TEXT_WIDTH}}) for t5 in (False, True)
}


def _family(name: str, title: str, t5: bool) -> Family:
    def clip_target(self: BASE, state_dict: dict[str, Any] | None = None) -> ClipTarget:
        """By what is in the file, as the host tells it; for a file that is to be written, this family's."""
        has_t5 = any(key.startswith("text_encoders.t5xxl.") for key in state_dict) if state_dict else t5
        return ClipTarget(SD3Tokenizer, ENCODERS[has_t5])

    match = ("depth", "adm_in_channels")
    config = small_config(comfy.supported_models.SD3, NETWORK, SD3Tokenizer, ENCODERS[t5], match=match)
    config.clip_target = clip_target  # type: ignore[method-assign]
    keys = ("clip_l", "clip_g", "t5xxl") if t5 else ("clip_l", "clip_g")
    return Family(name, title, config, NETWORK, keys, module=MODULE, clip_type="sd3")


FAMILIES = (_family("sd3", "SD 3.5 without T5", t5=False), _family("sd3_t5", "SD 3.5 with T5", t5=True))
