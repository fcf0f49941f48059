"""DINOv2 and SigLIP, from folders of the Hub's files, as the authors ask them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from dti_pack.nodes.host.scoring.siglip import IMAGE_FILES, SIGLIP, TOGETHER, check_folder, model_in
from dti_pack.nodes.host.scoring.siglip import Siglip as TextJudge
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor

__all__ = ["DINO", "SIGLIP", "TOGETHER", "ImageJudge", "TextJudge", "files_of", "folder_of"]

DINO = "facebook/dinov2-base"  # the authors'
DOWNLOADED = ["*.json", "*.safetensors", "spiece.model"]


class ImageJudge:
    """DINOv2: how alike two images are."""

    def __init__(self, folder: Path) -> None:
        check_folder(folder, "dinov2", DINO, IMAGE_FILES)
        self.folder = folder
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        self._model = model_in(folder)

    def to(self, device: torch.device) -> None:
        self._model.to(device)

    @torch.inference_mode()
    def features(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors `[n, dim]` on the CPU: the class token behind the last norm."""
        found = []
        for first in range(0, len(images), TOGETHER):
            pixels = self._processor(list(images[first : first + TOGETHER]), return_tensors="pt")["pixel_values"]
            states = self._model(pixel_values=pixels.to(self._model.device)).last_hidden_state
            found.append(torch.nn.functional.normalize(states[:, 0].float(), dim=-1).cpu())
        return torch.cat(found)


def folder_of(given: str, download: bool) -> Path:
    """The folder of a model. Raises ValueError for what is none, unless it is an id on the Hub that may be fetched."""
    folder = Path(given).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not download:
        raise ValueError(
            f"{given} is not a folder. Give one with a model's files from the Hub (such as {DINO} or {SIGLIP}), or an "
            "id there together with --download."
        )
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(given, allow_patterns=DOWNLOADED))


def files_of(folder: Path) -> list[Path]:
    """The files that what a judge says depends on."""
    return sorted(file for pattern in DOWNLOADED for file in folder.glob(pattern))
