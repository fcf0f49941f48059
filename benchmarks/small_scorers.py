"""DINOv2 and CLIP in miniature with random weights, as transformers makes them: files for `small_vision`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

CLIP_SIZE, DINO_SIZE = 56, 518  # the host's DINOv2 has its positions for this size alone
SAYS = "small_vision"


def small_dino(file: Path) -> Any:
    """Write DINOv2, 32 wide; the model."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "layer_norm_eps": 1e-6}
    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(**sizes, image_size=DINO_SIZE, patch_size=14, layerscale_value=0.5)).eval()
    mean, std = {"image_mean": [0.485, 0.456, 0.406]}, {"image_std": [0.229, 0.224, 0.225]}
    told = {**sizes, "image_size": DINO_SIZE, "model_type": "dinov2", "use_swiglu_ffn": False, **mean, **std}
    return _written(file, model, told)


def small_clip(file: Path, width: int) -> Any:
    """Write the vision half of a CLIP, whose space is so wide; the model."""
    sizes = {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
        "projection_dim": width, "image_size": CLIP_SIZE, "patch_size": 14, "num_channels": 3,
        "hidden_act": "quick_gelu",
    }  # fmt: skip
    torch.manual_seed(1)
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes)).eval()
    return _written(file, model, {**sizes, "model_type": "clip_vision_model"})


def _written(file: Path, model: Any, told: dict[str, Any]) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # with transformers' own start all images look alike
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            # The host keeps such a model in half precision, and both are to have the same weights.
            parameter.copy_(parameter.half())
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)  # in the names of the files that there are
        weights = load_file(Path(folder, "model.safetensors"))
    save_file(weights, file, {SAYS: json.dumps(told)})
    return model
