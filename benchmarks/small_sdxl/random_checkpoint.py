# ruff: noqa: T201
"""Writes a small SDXL checkpoint with seeded random weights, about 31 MiB.

Run it with ComfyUI's environment and ComfyUI's folder on PYTHONPATH:
    python benchmarks/small_sdxl/random_checkpoint.py FILE [--seed N] [--v-prediction]
"""

import argparse
import sys
from pathlib import Path

import torch
from comfy.cli_args import args as host_args

# The host looks for a GPU while it is imported, and fails unless it is told before that there is none.
host_args.cpu = not torch.cuda.is_available()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import random_sdxl  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402

import small_sdxl as arch  # noqa: E402


def write(file: Path, seed: int = 0, v_prediction: bool = False) -> None:
    """Write the checkpoint; v_prediction marks it as a v-prediction model with zero terminal SNR."""
    with torch.device("meta"):
        shapes = random_sdxl.layout(
            arch.SmallSDXL(arch.UNET),
            UNetModel(**arch.UNET),
            arch.SmallTextEncoders(device="meta"),
            TAESD(latent_channels=arch.LATENT_CHANNELS),
        )
    given = {
        "first_stage_model.vae_scale": torch.tensor(arch.VAE_SCALE),
        "first_stage_model.vae_shift": torch.tensor(0.0),
    }
    if v_prediction:
        given |= {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    random_sdxl.write(file, shapes, seed, given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--v-prediction", action="store_true", help="v-prediction with zero terminal SNR")
    options = parser.parse_args()
    write(options.file, options.seed, options.v_prediction)
    print(f"Wrote {options.file} ({options.file.stat().st_size / 2**20:.1f} MiB)")
