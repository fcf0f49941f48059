"""A test-only ComfyUI pack: loads vision models of any size, which Load CLIP Vision tells by their number of layers."""

from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.utils
import folder_paths


class SmallVisionLoader:
    """A folder of models/clip_vision with host.json, what the host's class is told, and model.safetensors."""

    RETURN_TYPES = ("CLIP_VISION",)
    FUNCTION = "load"
    CATEGORY = "DTI/testing"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"folder": ("STRING", {})}}

    def load(self, folder: str) -> tuple[Any]:
        place = Path(folder_paths.get_folder_paths("clip_vision")[0], folder)
        vision = comfy.clip_vision.ClipVisionModel(str(place / "host.json"))
        vision.load_sd(comfy.utils.load_torch_file(str(place / "model.safetensors")))
        return (vision,)


NODE_CLASS_MAPPINGS = {"SmallVisionLoader": SmallVisionLoader}
