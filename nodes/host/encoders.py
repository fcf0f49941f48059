"""Which text encoders a CLIP has, and by which key embedding files and the host's token lists call each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from comfy.sd1_clip import SDTokenizer

if TYPE_CHECKING:
    from comfy.sd import CLIP


def tokenizer_keys(clip: CLIP) -> dict[str, str]:
    """The encoder key of every tokenizer of a CLIP, by the attribute that holds it.

    The key is what a tokenizer looks up in embedding files, and mostly the model's name for the encoder: PixArt's
    tokenizer "clip_t5xxl" has the key "t5xxl". Where the model does not know that, it is the attribute's.
    """
    model = clip.cond_stage_model
    return {
        attribute: tokenizer.embedding_key if getattr(model, tokenizer.embedding_key, None) is not None else attribute
        for attribute, tokenizer in vars(clip.tokenizer).items()
        if isinstance(tokenizer, SDTokenizer)
    }


def sub_tokenizers(clip: CLIP) -> dict[str, SDTokenizer]:
    """The tokenizer of every text encoder of a CLIP by encoder key ("clip_l", "t5xxl", ...).

    A family may share a tokenizer of more encoders than a model has: SDXL's refiner has no "clip_l", and SD3 may
    come without T5.
    """
    return {
        key: getattr(clip.tokenizer, attribute)
        for attribute, key in tokenizer_keys(clip).items()
        if getattr(clip.cond_stage_model, key, None) is not None
    }


def list_key(name: str, keys: Mapping[str, object]) -> str:
    """The encoder key of a token list: CLIP's are called "l" and "g" where the encoders are "clip_l" and "clip_g"."""
    return name if name in keys else f"clip_{name}"
