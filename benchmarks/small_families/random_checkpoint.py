# ruff: noqa: T201
"""Writes checkpoints of small families with seeded random weights, some MB each, unless they are there.

Run it with ComfyUI's environment and ComfyUI's folder on PYTHONPATH:
    python benchmarks/small_families/random_checkpoint.py FOLDER [FAMILY ...]
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from comfy.cli_args import args as host_args

# The host looks for a GPU while it is imported, and fails unless it is told before that there is none.
host_args.cpu = not torch.cuda.is_available()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import random_sdxl  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402

from small_families.family import Family  # noqa: E402
from small_families.parts import encoder_files, split, vae_name  # noqa: E402
from small_families.registry import FAMILIES  # noqa: E402


def write(file: Path, family: Family, seed: int = 0) -> None:
    """Write a checkpoint of the family in its own layout."""
    config = family.config(dict(family.network))
    latents = config.latent_format
    with torch.device("meta"):
        shapes = random_sdxl.layout(
            config,
            family.module(**family.network),
            config.clip_target({}).clip(device="meta"),
            TAESD(latent_channels=latents.latent_channels),
        )
    # TAESD works on scaled latents.
    vae, shift = config.vae_key_prefix[0], getattr(latents, "shift_factor", None)
    scale = {
        f"{vae}vae_scale": torch.tensor(float(latents.scale_factor)),
        f"{vae}vae_shift": torch.tensor(float(shift or 0.0)),
    }
    random_sdxl.write(file, shapes, seed, {**scale, **family.marks})


def describe(family: Family) -> dict[str, object]:
    """What a row of the matrix needs to know of it."""
    return {
        "title": family.title,
        "initializer": family.initializer,
        "encoders": family.encoders,
        "size": family.size,
        "with_vae": family.with_vae,
        "clip_type": family.clip_type,
        "clip_names": encoder_files(family),
        "vae_name": vae_name(family),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; all where none is named")
    parser.add_argument("--parts", type=Path, metavar="MODELS", help="ComfyUI's models folder, for the same in parts")
    options = parser.parse_args()
    chosen = {name: FAMILIES[name] for name in options.families or FAMILIES}
    for name, chosen_family in chosen.items():
        target = options.folder / f"{name}.safetensors"
        if not target.is_file():
            write(target, chosen_family)
        if options.parts and not (options.parts / "diffusion_models" / target.name).is_file():
            split(target, chosen_family, options.parts)
    print(json.dumps({name: describe(family) for name, family in chosen.items()}))
