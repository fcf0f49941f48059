"""SigLIP as a text scorer of the graph: in models/clip_vision, loaded and unloaded by the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import folder_paths
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ....dti_core.scoring.similarity import siglip_probability
from .siglip import SIGLIP, Siglip


class SiglipText:
    """By how much images are what texts say, as DTI's authors measure it: the sigmoid of SigLIP's logit."""

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        """name: of a folder in models/clip_vision. Raises ValueError for what is no SigLIP."""
        self._siglip, self._texts = Siglip(siglip_folder(name)), [f"{text}." for text in texts]
        self._patcher = comfy.model_patcher.ModelPatcher(
            torch.nn.ModuleList([self._siglip.model]),  # the host notes things on it that transformers' own refuses
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.text_encoder_offload_device(),
        )
        self._siglip.all_logits([Image.new("RGB", (8, 8))], self._texts)  # what cannot be read is said now

    @property
    def name(self) -> str:
        return f"{self._siglip.folder.name}, sigmoid of the logit"

    def __call__(self, pictures: Sequence[Tensor]) -> Tensor:
        """Of images `[H, W, 3]` in [0, 1] with every text: `[n, k]`. Raises the host's interrupt at Stop."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        comfy.model_management.load_models_gpu([self._patcher], force_full_load=True)
        images = [Image.fromarray((picture.cpu().numpy() * 255).round().astype(np.uint8)) for picture in pictures]
        return siglip_probability(self._siglip.all_logits(images, self._texts))


def siglip_folder(name: str) -> Path:
    """Where that folder lies. Raises ValueError where there is none in models/clip_vision."""
    roots = [Path(root).resolve() for root in folder_paths.get_folder_paths("clip_vision")]
    for root in roots:
        folder = (root / name).resolve()
        if folder.is_dir() and folder.is_relative_to(root) and folder != root:
            return folder
    raise ValueError(
        f"siglip_folder is {name!r}, and there is no such folder in models/clip_vision: make it, and put the files of "
        f"{SIGLIP} on Hugging Face there (config.json, model.safetensors, preprocessor_config.json, "
        "tokenizer_config.json, tokenizer.json or spiece.model)."
    )
