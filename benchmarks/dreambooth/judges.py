"""DINOv2 and SigLIP, from folders of the Hub's files, as the authors ask them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

DINO, SIGLIP = "facebook/dinov2-base", "google/siglip-base-patch16-512"  # the authors'
# One name of each line has to be there.
IMAGE_FILES = (
    ("config.json",),
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
)
TEXT_FILES = (*IMAGE_FILES, ("tokenizer_config.json",), ("spiece.model", "tokenizer.json"))
DOWNLOADED = ["*.json", "*.safetensors", "spiece.model"]
TOGETHER = 8  # images in a pass


class ImageJudge:
    """DINOv2: how alike two images are."""

    def __init__(self, folder: Path) -> None:
        _check_folder(folder, "dinov2", DINO, IMAGE_FILES)
        self.folder = folder
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        self._model = _model(folder)

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


class TextJudge:
    """SigLIP: whether an image is what a text says."""

    def __init__(self, folder: Path) -> None:
        _check_folder(folder, "siglip", SIGLIP, TEXT_FILES)
        self.folder = folder
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except ImportError as error:
            raise ValueError(
                f"transformers {transformers.__version__} cannot read SigLIP's tokenizer ({_line(error)}). Install "
                "what it needs into this Python: pip install sentencepiece protobuf"
            ) from error
        self._model = _model(folder)
        self._length = self._model.config.text_config.max_position_embeddings

    def to(self, device: torch.device) -> None:
        self._model.to(device)

    @torch.inference_mode()
    def logits(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Tensor:
        """Of each image with its own text, `[n]` on the CPU; their sigmoid is what the authors report."""
        found = []
        for first in range(0, len(images), TOGETHER):
            part = slice(first, first + TOGETHER)
            pixels = self._processor(list(images[part]), return_tensors="pt")["pixel_values"]
            # Padded to the full length and without a mask, as SigLIP was trained.
            words = list(texts[part])
            tokens = self._tokenizer(words, padding="max_length", max_length=self._length, return_tensors="pt")[
                "input_ids"
            ]
            if tokens.shape[1] > self._length:
                raise ValueError(f"SigLIP reads {self._length} tokens, and one of these prompts has more: {words}.")
            device = self._model.device
            output = self._model(pixel_values=pixels.to(device), input_ids=tokens.to(device))
            found.append(output.logits_per_image.diagonal().float().cpu())
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


def _check_folder(folder: Path, kind: str, usual: str, wanted: Sequence[Sequence[str]]) -> None:
    missing = [" or ".join(names) for names in wanted if not any((folder / name).is_file() for name in names)]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}; put the files of {usual} there.")
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if found != kind:
        raise ValueError(f"{folder} holds a model of the kind {found!r}; {kind!r} is wanted, such as {usual}.")


def _model(folder: Path) -> torch.nn.Module:
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return model.float().eval().requires_grad_(False)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
