# ruff: noqa: T201
"""The gradient of a family's vectors against finite differences, in the process of a ComfyUI: a line of JSON each.

Run it in the repository's folder with the host's Python:
    python -m benchmarks.families.gradient FOLDER FAMILY ... --comfyui PATH
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from comfy_host.in_process import use_host

# How far the vector is moved to either side, and how far the two slopes may lie apart: what the third
# derivative leaves at that distance, on weights in half precision that compute in float32.
DISTANCE = 1e-3
TOLERANCE = 0.05
LATENT_TO_PIXELS = 8


def load(file: Path) -> Any:
    """MODEL and CLIP as a node loads them."""
    import comfy.sd

    with torch.inference_mode():
        return comfy.sd.load_checkpoint_guess_config(str(file))[:2]


def slopes(model: Any, clip: Any, word: str, edge: int) -> dict[str, tuple[float, float]]:
    """By encoder key, the norm of the gradient and the slope along it by finite differences. edge: of latents."""
    gradient = _loss_and_gradients(model, clip, word, edge, {})[1]
    found = {}
    for key, rows in gradient.items():
        step = DISTANCE * rows / rows.norm()
        ends = [_loss_and_gradients(model, clip, word, edge, {key: sign * step})[0] for sign in (1, -1)]
        found[key] = (float(rows.norm()), (ends[0] - ends[1]) / (2 * DISTANCE))
    return found


def _loss_and_gradients(
    model: Any, clip: Any, word: str, edge: int, moved: dict[str, torch.Tensor]
) -> tuple[float, dict[str, torch.Tensor]]:
    from dti_pack.nodes.host.training.session import training_session  # type: ignore[import-not-found]

    generator = torch.Generator().manual_seed(7)
    channels = model.model.latent_format.latent_channels
    latents, noise = (torch.randn((2, channels, edge, edge), generator=generator) for _ in range(2))
    framing = torch.tensor([[128, 128, 0, 0, 128, 128], [96, 128, 0, 32, 96, 96]])
    with training_session(model, clip) as (text_encoder, denoiser):
        ids = text_encoder.token_ids(word)
        vectors = {
            key: (table.rows(ids[key]).cpu() + moved.get(key, 0.0)).requires_grad_()
            for key, table in text_encoder.vocabularies.items()
        }
        conditioning = text_encoder.encode(["a photo of a {}", "a {} on a table"], vectors)
        sigma = denoiser.sigmas(torch.tensor([0.9, 0.2]))
        loss = denoiser.loss(latents, conditioning, sigma, noise, framing).mean()
        loss.backward()
        return float(loss), {key: rows.grad.clone() for key, rows in vectors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with the families' checkpoints")
    parser.add_argument("families", nargs="+")
    parser.add_argument("--comfyui", type=Path, required=True)
    options = parser.parse_args()
    use_host(options.comfyui, cpu=not torch.cuda.is_available())
    import small_families  # type: ignore[import-not-found]

    for name in options.families:
        family = small_families.FAMILIES[name]
        try:
            file = options.folder / f"{name}.safetensors"
            found = slopes(*load(file), family.initializer, family.size // LATENT_TO_PIXELS)
        except (ValueError, RuntimeError) as error:
            print(json.dumps({"family": name, "error": str(error)}), flush=True)
            continue
        ratios = {key: slope / norm for key, (norm, slope) in found.items()}
        print(json.dumps({"family": name, "ratios": ratios}), flush=True)


if __name__ == "__main__":
    main()
