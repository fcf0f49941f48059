"""Features of images, through the host's CLIP_VISION."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.model_management
import torch
from comfy.clip_model import CLIPVisionModelProjection
from torch import Tensor

# What the host's CLIPVisionLoader makes.
ClipVision = Any

TOGETHER = 8
FILES = (
    "Put one of these into models/clip_vision and load it with Load CLIP Vision: model.safetensors of "
    "facebook/dinov2-large on Hugging Face (to score images), of openai/clip-vit-large-patch14, "
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K or laion/CLIP-ViT-bigG-14-laion2B-39B-b160k (to score text)."
)


def image_features(vision: ClipVision, pictures: Sequence[Tensor]) -> Tensor:
    """Of each image `[H, W, 3]` in [0, 1], whatever its size, one vector: `[n, dim]` float32 on the CPU.

    An image is brought to the model's size by its short edge, and its middle square is read. Raises ValueError for a
    model that gives no one vector, and the host's interrupt at Stop.
    """
    found = []
    for group in _of_one_size(pictures):
        comfy.model_management.throw_exception_if_processing_interrupted()
        features = vision.encode_image(torch.stack(list(group)))["image_embeds"]
        if features.ndim != 2:
            raise ValueError(
                f"The scorer gives {list(features.shape[1:])} numbers for an image where one vector is needed: ComfyUI "
                f"loads SigLIP without the part that makes it. {FILES}"
            )
        found.append(features.float().cpu())
    together = torch.cat(found)
    if not together.isfinite().all():
        raise ValueError(
            "The scorer gives values that are not numbers: its file is damaged, or half precision is too little for it "
            f"(start ComfyUI with --fp32-text-enc). {FILES}"
        )
    return together


def text_width(vision: ClipVision) -> int:
    """The width of the space that a CLIP's images and texts meet in. Raises ValueError for what is no CLIP."""
    model = vision.model
    projection = getattr(model, "visual_projection", None) if isinstance(model, CLIPVisionModelProjection) else None
    if not isinstance(projection, torch.nn.Module):
        kind = "a SigLIP, of which ComfyUI loads no text side" if hasattr(model, "vision_model") else "not a CLIP"
        raise ValueError(f"text_scorer is {kind} ({type(model).__name__}), so that no text can be compared. {FILES}")
    width: int = projection.get_parameter("weight").shape[0]
    return width


def _of_one_size(pictures: Sequence[Tensor]) -> list[list[Tensor]]:
    """The images in order, in groups that go through the model together."""
    groups: list[list[Tensor]] = []
    for picture in pictures:
        if groups and len(groups[-1]) < TOGETHER and groups[-1][0].shape == picture.shape:
            groups[-1].append(picture)
        else:
            groups.append([picture])
    return groups
