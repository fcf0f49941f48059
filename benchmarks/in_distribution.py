# ruff: noqa: T201
"""The norms of a checkpoint's words, and how strong the pull to the initializer is beside the gradient of images.

    python -m benchmarks.in_distribution --comfyui PATH --checkpoint FILE [--images FOLDER --initializer dog]

Run it with the Python of that ComfyUI. Without images it says the norms alone. A model in parts is given with --clip
(one file or more, and --clip-type as CLIPLoader has it), --unet and --vae in the place of --checkpoint.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from comfy_host.in_process import use_host
from dti_core.training.captions import OBJECT_TEMPLATES

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def load(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE as nodes load them; None for what is not given."""
    import comfy.sd
    import comfy.utils

    with torch.inference_mode():
        if options.checkpoint:
            model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(options.checkpoint))
            return model, clip, vae
        kinds = {kind.name.lower(): kind for kind in comfy.sd.CLIPType}
        if options.clip_type not in kinds:
            raise SystemExit(f"--clip-type is {options.clip_type!r}; choose one of {', '.join(kinds)}.")
        kind = kinds[options.clip_type]
        clip = comfy.sd.load_clip([str(file) for file in options.clip], clip_type=kind)
        model = comfy.sd.load_diffusion_model(str(options.unet)) if options.unet else None
        vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(options.vae))) if options.vae else None
        return model, clip, vae


def norms_table(vocabularies: Mapping[str, Any]) -> list[str]:
    """A row for each text encoder: m* is the mean."""
    lines = ["| encoder | words | width | mean norm (m*) | standard deviation | smallest | largest | coordinate |"]
    lines.append("|" + " --- |" * 8)
    for key, words in vocabularies.items():
        numbers = (words.mean, words.std, words.min, words.max, words.mean / words.dim**0.5)
        cells = [key, str(int(words.is_word.sum())), str(words.dim), *(f"{number:.4g}" for number in numbers)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def gradient_table(norms: Mapping[str, Sequence[float]], kappa: float) -> list[str]:
    """A row for each text encoder: the gradient of the loss in the direction v, over batches, and kappa beside it."""
    lines = ["| encoder | gradient, median | smallest | largest | kappa beside the median |", "|" + " --- |" * 5]
    for key, values in norms.items():
        median = statistics.median(values)
        share = f"{100 * kappa / median:.2g} %" if median else "-"
        lines.append(f"| {key} | {median:.3g} | {min(values):.3g} | {max(values):.3g} | {share} |")
    return lines


def gradient_norms(models: tuple[Any, Any, Any], options: argparse.Namespace) -> dict[str, list[float]]:
    """By encoder key, the norm of dL/dv at the initializer for each batch."""
    import numpy as np
    from dti_pack.dti_core.training import TrainingConfig, train  # type: ignore[import-not-found]
    from dti_pack.nodes.host.training.family import training_resolution  # type: ignore[import-not-found]
    from dti_pack.nodes.host.training.session import training_session  # type: ignore[import-not-found]
    from dti_pack.nodes.host.training.trainable import check_trainable  # type: ignore[import-not-found]
    from dti_pack.nodes.host.training.vae import encode_images  # type: ignore[import-not-found]
    from PIL import Image, ImageOps

    model, clip, vae = models
    check_trainable(model, clip)
    files = sorted(file for file in options.images.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        raise SystemExit(f"No images in {options.images}; give a folder with some ({', '.join(PICTURES)}).")
    pictures = [
        torch.from_numpy(np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB")) / 255).float()
        for file in files
    ]
    edge = training_resolution(model, options.resolution)
    norms: dict[str, list[float]] = {}

    def note(report: Any) -> None:
        for key, norm in report.data_gradient_norm.items():
            norms.setdefault(key, []).append(norm)

    # So small a rate that every batch meets the initializer.
    config = TrainingConfig(options.initializer, steps=options.batches, microbatch_size=1, learning_rate=1e-9)
    with torch.inference_mode():
        data = encode_images(vae, pictures, edge, [OBJECT_TEMPLATES] * len(pictures))
    with training_session(model, clip) as (text_encoder, denoiser):
        train(text_encoder, denoiser, data, config, note)
    return norms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, required=True, help="ComfyUI's folder")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE")
    parser.add_argument("--clip", type=Path, nargs="+", metavar="FILE", help="text encoders, for a model in parts")
    parser.add_argument("--clip-type", default="stable_diffusion", help="what CLIPLoader calls their kind")
    parser.add_argument("--unet", type=Path, metavar="FILE")
    parser.add_argument("--vae", type=Path, metavar="FILE")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="for the gradient")
    parser.add_argument("--initializer", default="dog", metavar="WORD")
    parser.add_argument("--resolution", type=int, default=0, help="0: what suits the model")
    parser.add_argument("--batches", type=int, default=8, help="of four images each")
    parser.add_argument("--kappa", type=float, default=1e-4)
    options = parser.parse_args()
    if not (options.checkpoint or options.clip):
        parser.error("give --checkpoint, or --clip for a model in parts")
    use_host(options.comfyui, cpu=not torch.cuda.is_available())
    from dti_pack.nodes.host.encoder_probe import EncoderProbe  # type: ignore[import-not-found]

    models = load(options)
    if models[1] is None:
        parser.error(f"{options.checkpoint} has no text encoders; give them with --clip")
    print("\n".join(norms_table(EncoderProbe(models[1]).text_encoder.vocabularies)))
    if options.images:
        if None in models:
            parser.error("the gradient takes --unet and --vae too")
        norms = gradient_norms(models, options)
        print()
        print("\n".join(gradient_table(norms, options.kappa)))


if __name__ == "__main__":
    main()
