# ruff: noqa: T201
"""Writes an SDXL checkpoint with the real names and shapes and random fp16 weights, about 6.9 GB.

It costs what the real model costs, in memory and in time, where the real one cannot be had. Run it with ComfyUI's
environment and ComfyUI's folder on PYTHONPATH:
    python benchmarks/full_size_sdxl.py FILE [--seed N]
"""

import argparse
import time
from pathlib import Path

import random_sdxl
import torch
from comfy.cli_args import args as host_args

# The host looks for a GPU while it is imported, and fails unless it is told before that there is none.
host_args.cpu = not torch.cuda.is_available()

from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.sdxl_clip import SDXLClipModel  # noqa: E402
from comfy.supported_models import SDXL  # noqa: E402

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "channel_mult": [1, 2, 4],
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
    "num_head_channels": 64,
}
VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}
POSITION_IDS = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"


def write_checkpoint(file: Path, seed: int = 0) -> None:
    """Write the checkpoint; takes about a minute and little memory."""
    with torch.device("meta"):
        shapes = random_sdxl.layout(
            SDXL(UNET),
            UNetModel(**UNET),
            SDXLClipModel(device="meta", dtype=torch.float16),
            AutoencoderKL(ddconfig=VAE, embed_dim=4),
        )
    random_sdxl.write(file, shapes, seed, {POSITION_IDS: torch.arange(77)[None]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="outside the repository; 7 GB must be free there")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    write_checkpoint(options.file, options.seed)
    size = options.file.stat().st_size
    print(f"Wrote {options.file}: {size / 1e9:.2f} GB in {time.monotonic() - start:.0f} s")
