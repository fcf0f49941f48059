"""SD 1.5: one CLIP-L, eps."""

from __future__ import annotations

from typing import Any

import comfy.sd1_clip
import comfy.supported_models

from .family import Family, small_config, small_encoders, small_tokenizer
from .sizes import CLIP_WIDTH, UNET, clip_config

NETWORK: dict[str, Any] = {
    **UNET,
    "use_linear_in_transformer": False,
    "context_dim": CLIP_WIDTH,
    "num_heads": 4,
    "num_head_channels": -1,
}

TOKENIZER = small_tokenizer(comfy.sd1_clip.SD1Tokenizer, {"clip_l": CLIP_WIDTH})
ENCODERS = small_encoders(comfy.sd1_clip.SD1ClipModel, {"clip_l": clip_config(CLIP_WIDTH)})

HEADS = ("num_heads", "num_head_channels")

SD15 = Family(
    name="sd15",
    title="SD 1.5",
    config=small_config(comfy.supported_models.SD15, NETWORK, TOKENIZER, ENCODERS, HEADS),
    network=NETWORK,
    encoders=("clip_l",),
)

SD15_INPAINTING = Family(
    name="sd15_inpainting",
    title="SD 1.5 inpainting",
    config=SD15.config,
    network={**NETWORK, "in_channels": 9},
    encoders=SD15.encoders,
)

PIX2PIX_NETWORK = {**NETWORK, "in_channels": 8}
SD15_PIX2PIX = Family(
    name="sd15_instructpix2pix",
    title="InstructPix2Pix (SD 1.5)",
    config=small_config(comfy.supported_models.SD15_instructpix2pix, PIX2PIX_NETWORK, TOKENIZER, ENCODERS, HEADS),
    network=PIX2PIX_NETWORK,
    encoders=SD15.encoders,
)

FAMILIES = (SD15, SD15_INPAINTING, SD15_PIX2PIX)
