"""What of a caption the model takes up: how much larger its loss is when the caption names one wrong thing.

python -m small_world.caption_sensitivity FOLDER --comfyui COMFYUI   (a training's folder; while it runs, too)
Images come back late in a training; this says after minutes whether they will.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from . import words
from .comfyui import start_log, use_comfyui
from .dataset import HELD_OUT_SEED, scene_at
from .drawing import draw
from .files import load_state
from .scenes import COLOURS, NAMES, PLACES, SIZES, VIEWS, Scene, departures
from .shapes import SHAPES

PICTURES = 80
STEPS = (400, 550, 700, 850, 999)  # of 0..999: sigma 1.2, 2.1, 4.1, 11, and noise alone
CHOICES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES, "colour": NAMES, "place": PLACES, "size": tuple(SIZES), "background": VIEWS,
}  # fmt: skip
log = logging.getLogger(__name__)


def caption(scene: Scene, **wrong: str) -> str:
    """Everything that can be said of a plain thing, but for what is told wrong."""
    asked = {
        "shape": scene.thing.shape, "colour": scene.thing.colour, "place": scene.place, "size": scene.size,
        "background": scene.background, **wrong,
    }  # fmt: skip
    behind = asked["background"]
    around = f"on a {behind} background" if behind in COLOURS else words.ON_VIEW[behind][0]
    size, place = words.SIZE_WORDS[asked["size"]][0], words.PLACE_WORDS[asked["place"]][0]
    return f"a photo of a {size} {asked['colour']} {words.NOUNS[asked['shape']][0]} {place} {around}"


@torch.no_grad()
def caption_sensitivity(folder: Path) -> dict[str, list[float]]:
    """Losses by what is told wrong ("nothing" first), one per noise level of STEPS."""
    from .model import SmallModel
    from .tokens import host_tokens
    from .train_vae import to_pixels
    from .vae import Codec

    tokens, state = host_tokens(), load_state(folder / "model_state.pt")
    model = SmallModel(tokens.used)
    model.load_state_dict(state["model"])
    codec = Codec()
    codec.load_state_dict(load_state(folder / "vae_state.pt")["codec"])
    plain = (scene_at(index, HELD_OUT_SEED) for index in range(100 * PICTURES))
    scenes = [scene for scene, _ in zip((s for s in plain if departures(s) == 0), range(PICTURES), strict=False)]
    latents = codec.encode(to_pixels(np.stack([draw(scene) for scene in scenes])))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    told = {"nothing": [caption(scene) for scene in scenes]}
    for name, choices in CHOICES.items():
        told[name] = [
            next(text for text in (caption(s, **{name: str(rng.choice(choices))}) for _ in range(99)) if text != right)
            for s, right in zip(scenes, told["nothing"], strict=True)
        ]
    losses = {}
    for name, texts in told.items():
        conditioning = model.conditioning(*tokens.batch(texts))
        levels = (torch.full((len(scenes),), step) for step in STEPS)
        losses[name] = [float(model.errors(latents, noise, level, *conditioning).mean()) for level in levels]
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description="What of a caption the model hears.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comfyui", type=Path)
    options = parser.parse_args()
    use_comfyui(options.comfyui)
    start_log()
    torch.set_num_threads(1)
    losses = caption_sensitivity(options.folder)
    right = losses.pop("nothing")
    log.info("%-10s  loss at step %s", "nothing", ", ".join(f"{s}: {x:.3f}" for s, x in zip(STEPS, right, strict=True)))
    for name, wrong in losses.items():
        log.info("%-10s  %s", name, ", ".join(f"{w / r - 1:+8.1%}" for w, r in zip(wrong, right, strict=True)))


if __name__ == "__main__":
    main()
