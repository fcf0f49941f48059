"""Whether an embedding can be trained on a MODEL and CLIP, told from what they are: before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comfy.clip_model
import comfy.supported_models
from comfy.sd1_clip import SDClipModel

from .family import family_name
from .sampling_kind import kind_of, training_error

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP

ADVICE = (
    "Use a checkpoint of SD 1.5, SD 2.x or SDXL, of one of their relatives, or of SD3, Flux.1, Chroma, PixArt, "
    "Lumina 2, Z-Image or Flux.2 Klein."
)

# The host's module of text encoders of CLIP's kind, which train wherever they are.
CLIP_KIND = comfy.clip_model.__name__
# Others train where a gradient has been seen to pass through all that the host makes of them: its modules, and keys.
SEEN_IN = frozenset(f"comfy.text_encoders.{name}" for name in ("sd3_clip", "flux", "pixart_t5", "lumina2", "z_image"))
SEEN = frozenset({"t5xxl", "gemma2_2b", "qwen3_4b", "qwen3_8b"})

# Families of which nothing else says that there is nothing to train.
OTHER_REASONS = {
    "SD_X4Upscaler": "it enlarges an image that it is given",
    "SAM3": "it finds objects in images and generates none",
    "Stable_Cascade_B": "it works out what another model has decided",
    "Stable_Cascade_C": "its stages were never tried here",
    "ChromaRadiance": "it works on pixels, which was never tried here",
    "ZImagePixelSpace": "it works on pixels, which was never tried here",
    "PixelDiTT2I": "it works on pixels, which was never tried here",
    "Anima": "ComfyUI itself fails there on a prompt with an embedding, as it makes a list of numbers of T5's tokens",
}

LATENTS = {
    1: "its latents are no images, but sounds or shapes",
    3: "its latents have a time axis, as those of video models",
}


def check_trainable(model: ModelPatcher, clip: CLIP | None) -> None:
    """Raise ValueError for a family on which DTI does not train; the message names it and says why."""
    reason = objection(model, clip)
    if reason is not None:
        raise ValueError(f"DTI Train cannot train on {family_name(model)}: {reason}. {ADVICE}")


def objection(model: ModelPatcher, clip: CLIP | None) -> str | None:
    """Why DTI does not train on it; None where nothing is known against it."""
    for kind in type(model.model.model_config).__mro__:
        if kind.__module__ == comfy.supported_models.__name__ and kind.__name__ in OTHER_REASONS:
            return OTHER_REASONS[kind.__name__]
    dimensions = getattr(model.model.latent_format, "latent_dimensions", 2)
    if dimensions != 2:
        return LATENTS.get(dimensions, f"its latents have {dimensions} dimensions")
    if clip is None:
        return "it comes without text encoders, which are what reads an embedding"
    if "model_sampling" not in model.object_patches:  # another node's is looked at in the session
        sampling = model.get_model_object("model_sampling")
        try:
            training_error(sampling)
        except ValueError:
            return f"its sampling is {kind_of(sampling)}, and DTI trains eps, v-prediction and flow models"
    return _encoders_objection(clip)


def _encoders_objection(clip: CLIP) -> str | None:
    encoders = {
        name.rpartition(".")[2]: encoder
        for name, encoder in clip.cond_stage_model.named_modules()
        if isinstance(encoder, SDClipModel)
    }
    if not encoders:
        return f"its text encoder {type(clip.cond_stage_model).__name__} is none of ComfyUI's with a table of tokens"
    is_seen = any(kind.__module__ in SEEN_IN for kind in type(clip.cond_stage_model).__mro__)
    other = [key for key, encoder in encoders.items() if not (_is_clip(encoder) or (is_seen and key in SEEN))]
    if not other:
        return None
    found = f"its text encoder {other[0]} is" if len(other) == 1 else f"its text encoders {' and '.join(other)} are"
    return f"{found} not of CLIP's kind, and nobody has tried here whether it trains"


def _is_clip(encoder: SDClipModel) -> bool:
    return any(kind.__module__ == CLIP_KIND for kind in type(encoder.transformer).__mro__)
