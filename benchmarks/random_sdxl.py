"""Random weights in the layout of an SDXL checkpoint file, written piece by piece so that they need no memory."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

# Mean row norms of the real CLIP-L and OpenCLIP bigG token tables; of other encoders, CLIP-L's.
TOKEN_NORMS = {"conditioner.embedders.0.": 0.39, "conditioner.embedders.1.": 0.45, "": 0.39}
POSITION_STD = 0.01
PIECE = 1 << 24  # values drawn at a time
DTYPE_NAMES = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64", torch.uint8: "U8"}


def layout(
    config: Any, unet: torch.nn.Module, text_encoders: torch.nn.Module, vae: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """The weights of the three parts under the names that the host's family config gives them in a file."""
    tensors = {
        **config.process_unet_state_dict_for_saving(unet.state_dict()),
        **config.process_clip_state_dict_for_saving(text_encoders.state_dict()),
        **config.process_vae_state_dict_for_saving(vae.state_dict()),
    }
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


def mean_and_std(name: str, shape: torch.Size) -> tuple[float, float]:
    """How the weight of that name is drawn: at the scale that lets signals and gradients through."""
    if len(shape) < 2:  # a norm's scale, or a bias
        return (1.0 if name.endswith(("weight", "scale")) else 0.0), 0.0
    if "token_embedding" in name:
        return 0.0, next(norm for part, norm in TOKEN_NORMS.items() if part in name) / shape[1] ** 0.5
    if "position" in name:
        return 0.0, POSITION_STD
    return 0.0, shape[1:].numel() ** -0.5


def write(file: Path, shapes: Mapping[str, torch.Tensor], seed: int, given: Mapping[str, torch.Tensor]) -> None:
    """Write an fp16 checkpoint that is either whole or not there.

    Args:
        file: the .safetensors file; its folder is made.
        shapes: tensors of which only names and shapes are read; meta tensors will do.
        seed: of the random values.
        given: tensors that are written as they are, also in the place of random ones.
    """
    entries = {name: (torch.float16, tensor.shape) for name, tensor in shapes.items()}
    entries |= {name: (tensor.dtype, tensor.shape) for name, tensor in given.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in entries.items():
        start, end = end, end + shape.numel() * dtype.itemsize
        header[name] = {"dtype": DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    generator = torch.Generator().manual_seed(seed)

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    with partial.open("wb") as output:
        output.write(len(encoded).to_bytes(8, "little") + encoded)
        for name, (_, shape) in entries.items():
            if name in given:
                output.write(given[name].contiguous().numpy().tobytes())
                continue
            mean, std = mean_and_std(name, shape)
            for start in range(0, shape.numel(), PIECE):
                values = torch.randn(min(PIECE, shape.numel() - start), generator=generator)
                output.write(values.mul_(std).add_(mean).half().numpy().tobytes())
    partial.replace(file)
