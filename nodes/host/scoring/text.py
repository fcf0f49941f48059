"""Features of texts: the other half of a CLIP whose vision the host has loaded, where a CLIP of the graph has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from comfy.sd1_clip import SDClipModel
from torch import Tensor

from ....dti_core.scoring.similarity import cosines
from ..encoders import list_key, sub_tokenizers
from .vision import ClipVision, image_features, text_width

if TYPE_CHECKING:
    from comfy.sd import CLIP

# By the width that images and texts meet in.
NAMES = {768: "CLIP ViT-L", 1024: "CLIP ViT-H", 1280: "CLIP ViT-bigG"}
WHERE = (
    "Connect the text side of the same CLIP to text_clip: Load CLIP reads the file of the whole model from "
    "models/text_encoders as well (model.safetensors of openai/clip-vit-large-patch14, "
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K or laion/CLIP-ViT-bigG-14-laion2B-39B-b160k on Hugging Face). With SDXL, "
    "CLIP ViT-bigG as text_scorer needs nothing further."
)
# Beyond any trained projection: memory that nothing was loaded into.
LARGEST = 100.0


def text_encoder_for(vision: ClipVision, clip: CLIP) -> str:
    """The key of the encoder of `clip` whose texts are in the space of this vision model.

    Raises ValueError where there is none, or where its file came without the projection into that space.
    """
    width, widths = text_width(vision), {}
    for key in sub_tokenizers(clip):
        encoder = getattr(clip.cond_stage_model, key)
        projection = getattr(encoder.transformer, "text_projection", None)
        if isinstance(encoder, SDClipModel) and projection is not None:
            widths[key] = int(projection.weight.shape[0])
    fitting = [key for key, own in widths.items() if own == width]
    wanted = NAMES.get(width, "CLIP")
    if not fitting:
        has = ", ".join(f"{key} of {NAMES.get(own, 'CLIP')} ({own})" for key, own in widths.items()) or "no CLIP at all"
        raise ValueError(
            f"text_scorer is {wanted} ({width} wide), and the text encoders are {has}: no text can be compared with "
            f"its images. {WHERE}"
        )
    (key, *_) = fitting
    if not _is_loaded(getattr(clip.cond_stage_model, key).transformer.text_projection.weight):
        raise ValueError(
            f"text_scorer is {wanted}, and {key} came without its text projection, which checkpoints leave out where "
            f"they have no use for it: no text can be compared with images. {WHERE}"
        )
    return key


class ClipText:
    """How well images are what texts say: the cosine of both in the space of a CLIP."""

    def __init__(self, vision: ClipVision, clip: CLIP, texts: Sequence[str]) -> None:
        """Raises ValueError as `text_features`."""
        self._vision, self._texts = vision, text_features(vision, clip, texts)

    @property
    def name(self) -> str:
        return f"{type(self._vision.model).__name__}, {self._texts.shape[1]} wide, cosine"

    def __call__(self, pictures: Sequence[Tensor]) -> Tensor:
        """Of images `[H, W, 3]` in [0, 1] with every text: `[n, k]`."""
        return cosines(image_features(self._vision, pictures), self._texts)


def text_features(vision: ClipVision, clip: CLIP, texts: Sequence[str]) -> Tensor:
    """Of each text one vector in the space of `image_features`: `[n, dim]` float32 on the CPU.

    Brackets in a text have no weight here. Raises ValueError as `text_encoder_for`, and for a text that is too long.
    """
    key = text_encoder_for(vision, clip)
    encoder: SDClipModel = getattr(clip.cond_stage_model, key)
    tokens = [_tokens(clip, key, text) for text in texts]
    clip.load_model()
    encoder.reset_clip_options()
    # Hosts that stream weights need to be told where to compute; older ones ignore the key.
    encoder.set_clip_options({"projected_pooled": True, "execution_device": clip.patcher.load_device})
    try:
        return torch.cat([encoder.encode_token_weights(windows)[1].float().cpu() for windows in tokens])
    finally:
        encoder.reset_clip_options()


def _tokens(clip: CLIP, key: str, text: str) -> list[Any]:
    by_name = clip.tokenize(text)
    (windows,) = [windows for name, windows in by_name.items() if list_key(name, {key: None}) == key]
    if len(windows) > 1:
        raise ValueError(f"A prompt is longer than what CLIP reads, {len(windows[0]) - 2} tokens: {text!r}.")
    return [[(token, 1.0) for token, *_ in window] for window in windows]


def _is_loaded(projection: Tensor) -> bool:
    weight = projection.detach().float()
    return bool(weight.isfinite().all()) and bool(weight.any()) and float(weight.abs().max()) < LARGEST
