"""The small world's models and a subject's images, loaded as nodes load them. Needs `comfy_host.in_process`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import comfy.sd
import numpy as np
import small_sdxl
import torch
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.nodes.host.training.vae import encode_images
from small_world.subjects import SUBJECTS, pictures_of
from torch import Tensor

RESOLUTION = small_sdxl.IMAGE_SIZE
WORD = SUBJECTS[0].word


@dataclass(frozen=True)
class World:
    """MODEL, CLIP and VAE of the host; images `[128, 128, 3]` in [0, 1], and the same encoded, with templates."""

    model: object
    clip: object
    vae: object
    pictures: Sequence[Tensor]
    images: Sequence[TrainingImage]


def load_world(checkpoint: Path) -> World:
    """Load and encode everything that a training starts from. Call it in inference mode, as nodes are."""
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))
    pictures = [torch.from_numpy(picture.astype(np.float32) / 255) for picture in pictures_of(SUBJECTS[0])]
    images = encode_images(vae, pictures, RESOLUTION, [OBJECT_TEMPLATES] * len(pictures))
    return World(model, clip, vae, pictures, images)
