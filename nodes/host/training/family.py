"""What is known of a MODEL's family: what people call it, and the size of the images that it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comfy.supported_models
from comfy.model_base import ModelType

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# What the recipe takes for SDXL: three quarters of its own 1024, for half the time.
MOST_PIXELS = 768
LEAST_PIXELS = 64
# From here on a network repeats parts of what it knows.
TOO_LARGE = 1.5

NAMES = {
    "SD15": "SD 1.5",
    "SD20": "SD 2.x",
    "SDXLRefiner": "the SDXL refiner",
    "SSD1B": "SSD-1B",
    "Segmind_Vega": "Segmind Vega",
    "SVD_img2vid": "Stable Video Diffusion",
    "Stable_Cascade_C": "Stable Cascade",
    "Stable_Cascade_B": "Stable Cascade",
    "WAN21_T2V": "Wan",
    "ZImage": "Z-Image",
    "QwenImage": "Qwen-Image",
}


def family_name(model: ModelPatcher) -> str:
    """The family that the host takes the MODEL for, as people call it."""
    for kind in type(model.model.model_config).__mro__:
        if kind.__module__ == comfy.supported_models.__name__:
            return NAMES.get(kind.__name__, kind.__name__.replace("_", " "))
    return type(model.model).__name__


def native_resolution(model: ModelPatcher) -> int:
    """The edge in pixels of the images that a MODEL of this family was trained on."""
    config = model.model.model_config
    if isinstance(config, comfy.supported_models.SD15):
        return 512
    if isinstance(config, comfy.supported_models.SD20):
        return 768 if model.model.model_type == ModelType.V_PREDICTION else 512
    return 1024


def training_resolution(model: ModelPatcher, wanted: int) -> int:
    """What to train at: `wanted`, or what suits the MODEL where that is 0. Raises ValueError for less than 64."""
    if wanted == 0:
        return min(native_resolution(model), MOST_PIXELS)
    if wanted < LEAST_PIXELS:
        raise ValueError(f"resolution is {wanted}; give {LEAST_PIXELS} or more, or 0 for what suits the model.")
    return wanted


def resolution_notes(model: ModelPatcher, resolution: int) -> list[str]:
    """A sentence where `resolution` is far above what the MODEL was trained on."""
    native = native_resolution(model)
    if resolution < TOO_LARGE * native:
        return []
    return [
        f"The resolution is {resolution}, but {family_name(model)} was trained on images of {native} pixels; it fills "
        f"larger ones with repetitions, and the embedding is trained on that. Set resolution to {native}, or to 0 for "
        "what suits the model."
    ]
