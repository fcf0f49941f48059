"""Trains a concept on an SDXL or SANA pipeline of diffusers, without ComfyUI.

    python examples/train_with_diffusers.py PIPELINE IMAGES INITIALIZER [--output my_dog.safetensors] [--steps 400]

On SANA the paper's authors have --steps 500 --kappa 5e-5 --zero-pad 2.

PIPELINE is a folder as `pipe.save_pretrained` writes it, IMAGES a folder with 3 to 6 images; a text file beside an
image (dog1.jpg, dog1.txt) is its captions, one a line, with {} where the concept goes. Nothing is downloaded.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image, ImageOps

from dti_core.backends.pipeline_training import train_on_pipeline
from dti_core.files.embedding_file import save_embedding
from dti_core.methods import Options
from dti_core.training import StepReport, TrainingConfig
from dti_core.training.captions import OBJECT_TEMPLATES

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}

log = logging.getLogger("train")


def load_image(path: Path) -> torch.Tensor:
    """`[H, W, 3]` in [0, 1], upright, what is transparent on white."""
    with Image.open(path) as file:
        upright = ImageOps.exif_transpose(file).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return torch.from_numpy(np.asarray(Image.alpha_composite(white, upright).convert("RGB")) / np.float32(255))


def load_captions(path: Path) -> Sequence[str]:
    """The lines of the text file beside an image; general ones without it."""
    text = path.with_suffix(".txt")
    lines = text.read_text(encoding="utf-8-sig").splitlines() if text.is_file() else []
    return [line.strip() for line in lines if line.strip()] or OBJECT_TEMPLATES


def report(step: StepReport) -> None:
    if step.step == 1 or step.step % 10 == 0:
        angles = ", ".join(f"{key} {angle:.0f}" for key, angle in step.angle_to_prior.items())
        log.info("step %d: loss %.4f, degrees from the initializer: %s", step.step, step.loss, angles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("initializer", help="what the images show, in an ordinary word")
    parser.add_argument("--output", type=Path, default=Path("concept.safetensors"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--microbatch-size", type=int, default=1, help="images per pass; the result is the same")
    parser.add_argument("--resolution", type=int, default=0, help="short side in pixels; 0 for what suits the model")
    parser.add_argument("--kappa", type=float, default=1e-4, help="how much the initializer's direction holds")
    parser.add_argument("--zero-pad", type=float, default=0, help="SANA: captions move back by so many tokens (mean)")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    files = sorted(path for path in options.images.iterdir() if path.suffix.lower() in EXTENSIONS)
    if options.output.exists():
        parser.error(f"{options.output} exists; choose another --output.")
    cuda = torch.cuda.is_available()
    pipe = DiffusionPipeline.from_pretrained(
        options.pipeline, torch_dtype=torch.bfloat16 if cuda else torch.float32, local_files_only=True
    ).to("cuda" if cuda else "cpu")
    network = pipe.transformer if hasattr(pipe, "transformer") else pipe.unet
    network.enable_gradient_checkpointing()  # slower, and fits where memory is short
    config = TrainingConfig(
        options.initializer,
        steps=options.steps,
        batch_size=options.batch_size,
        microbatch_size=options.microbatch_size,
        kappa=options.kappa,
        seed=options.seed,
        options=Options(zero_pad=options.zero_pad),
    )
    embedding = train_on_pipeline(
        pipe,
        [load_image(path) for path in files],
        config,
        name=options.output.stem,
        captions=[load_captions(path) for path in files],
        resolution=options.resolution,
        on_step=report,
    )
    save_embedding(embedding, options.output)
    log.info("Saved %s", options.output)


if __name__ == "__main__":
    main()
