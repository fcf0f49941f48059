"""SigLIP, whose text side the host does not load: through transformers, from a folder with the Hub's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

SIGLIP = "google/siglip-base-patch16-512"  # the authors'
# One name of each line has to be there.
IMAGE_FILES = (
    ("config.json",),
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
)
TEXT_FILES = (*IMAGE_FILES, ("tokenizer_config.json",), ("spiece.model", "tokenizer.json"))
TOGETHER = 8  # images in a pass


class Siglip:
    """Whether an image is what a text says."""

    def __init__(self, folder: Path) -> None:
        check_folder(folder, "siglip", SIGLIP, TEXT_FILES)
        self.folder = folder
        processors: Any = AutoImageProcessor
        self._processor = processors.from_pretrained(folder, local_files_only=True)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"transformers {transformers.__version__} cannot read SigLIP's tokenizer ({reason}). "
                "Install what it needs into this Python: pip install sentencepiece protobuf"
            ) from error
        self.model = model_in(folder)
        self._length: int = self.model.config.text_config.max_position_embeddings

    def to(self, device: torch.device) -> None:
        self.model.to(device)

    def logits(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Tensor:
        """Of each image with its own text, `[n]` on the CPU; their sigmoid is what the authors report."""
        parts = [slice(first, first + TOGETHER) for first in range(0, len(images), TOGETHER)]
        return torch.cat([self.all_logits(images[part], texts[part]).diagonal() for part in parts])

    @torch.inference_mode()
    def all_logits(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Tensor:
        """Of each image with every text, `[n, k]` on the CPU."""
        # Padded to the full length and without a mask, as SigLIP was trained.
        tokens = self._tokenizer(list(texts), padding="max_length", max_length=self._length, return_tensors="pt")
        ids = tokens["input_ids"]
        if ids.shape[1] > self._length:
            raise ValueError(f"SigLIP reads {self._length} tokens, and one of these prompts has more: {list(texts)}.")
        device, found = self.model.device, []
        for first in range(0, len(images), TOGETHER):
            pixels = self._processor(list(images[first : first + TOGETHER]), return_tensors="pt")["pixel_values"]
            output = self.model(pixel_values=pixels.to(device), input_ids=ids.to(device))
            found.append(output.logits_per_image.float().cpu())
        return torch.cat(found)


def check_folder(folder: Path, kind: str, usual: str, wanted: Sequence[Sequence[str]]) -> None:
    """Raise ValueError unless the folder holds the wanted files, of a model of that kind; `usual` is one of them."""
    missing = [" or ".join(names) for names in wanted if not any((folder / name).is_file() for name in names)]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}; put the files of {usual} there.")
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if found != kind:
        raise ValueError(f"{folder} holds a model of the kind {found!r}; {kind!r} is wanted, such as {usual}.")


def model_in(folder: Path) -> Any:
    """The model of a folder, float32, for looking only."""
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return model.float().eval().requires_grad_(False)
