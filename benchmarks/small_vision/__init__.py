"""A test-only ComfyUI pack without nodes: Load CLIP Vision reads models of any size, where their file says which.

The host tells vision models by the number of their layers and knows those of full size alone; its class takes any.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import comfy.clip_vision
from safetensors import safe_open
from safetensors.torch import load_file

SAYS = "small_vision"  # in the file's header: what the host's own JSON files have
NODE_CLASS_MAPPINGS: dict[str, type] = {}

_stock_load = comfy.clip_vision.load


def load(path: str) -> Any:
    """What comfy.clip_vision.load gives."""
    with safe_open(path, "pt") as file:
        said = (file.metadata() or {}).get(SAYS)
    if said is None:
        return _stock_load(path)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(json.dumps(json.loads(said)), encoding="utf-8")
        vision = comfy.clip_vision.ClipVisionModel(str(config))
    missing = vision.load_sd(load_file(path)).missing_keys
    assert not missing, missing
    return vision


comfy.clip_vision.load = load
