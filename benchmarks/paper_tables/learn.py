"""An embedding from a folder of images by any of the methods, saved as a file.

python -m paper_tables.learn CHECKPOINT PICTURES OUT.safetensors --initializer WORD --method ti --comfyui COMFYUI
Run it in benchmarks/, in ComfyUI's environment. The demo has its Textual Inversion from here.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.files.embedding_file import save_embedding
from dti_pack.dti_core.training import StepReport
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from PIL import Image
from small_world.comfyui import start_log, use_comfyui
from small_world.sample import Painter
from small_world.scenes import SIZE

from .methods import learn
from .settings import Settings

METHODS = ("ti", "adamw_sphere", "dti")
SAY_EVERY = 100  # steps
log = logging.getLogger(__name__)


def say(report: StepReport) -> None:
    if report.step % SAY_EVERY == 0:
        norms = ", ".join(f"{key} {float(rows.norm(dim=-1).mean()):.2f}" for key, rows in report.vectors.items())
        log.info("step %d, loss %.3f, norm %s", report.step, report.loss, norms)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train an embedding and save it.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--initializer", required=True)
    parser.add_argument("--method", choices=METHODS, default="ti")
    parser.add_argument("--learning-rate", type=float, help="in the method's own terms; without it, its recipe's")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--comfyui", type=Path)
    options = parser.parse_args()
    use_comfyui(options.comfyui)
    start_log()
    torch.set_num_threads(1)
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.vae import encode_images

    painter = Painter(options.checkpoint)
    files = sorted(options.pictures.glob("*.png"))
    pictures = [torch.from_numpy(np.asarray(Image.open(file).convert("RGB"), np.float32) / 255) for file in files]
    with torch.inference_mode():
        images = encode_images(painter.vae, pictures, SIZE, (OBJECT_TEMPLATES,) * len(pictures))
    settings = Settings(options.method, steps=options.steps, learning_rate=options.learning_rate)
    with training_session(painter.model, painter.clip) as (text_encoder, denoiser):
        vectors = learn(text_encoder, denoiser, images, settings, options.seed, say, word=options.initializer)
    save_embedding(ConceptEmbedding(options.out.stem, vectors), options.out, overwrite=True)
    log.info("Wrote %s.", options.out)


if __name__ == "__main__":
    main()
