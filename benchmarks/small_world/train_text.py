"""Teaches the text encoders what captions say, before there are images: seeded, resumable.

python -m small_world.train_text FOLDER --comfyui COMFYUI   (writes text_state.pt; `train` goes on from it)
SDXL's text encoders, too, had read captions for long before its UNet was trained. Left to the UNet alone they learn
backgrounds and colours, and whose colour it is hardly ever.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .comfyui import start_log, use_comfyui
from .files import load_state, save_state
from .grammar import Caption, describe
from .judge import VALUES
from .parallel import average_gradients, launch
from .scenes import Scene, random_scene

STEPS = 1000
BATCH = 128  # captions a step, over all workers
RATE = 1e-3
WARM_UP = 100
POSITIONS = 32
# Pooled captions shall differ about their mean by one in every channel: a large common part would drown them.
SPREAD_WEIGHT = 0.3
EVERY = 250
SAID = tuple(name for name in VALUES if name != "companions")  # no caption counts
log = logging.getLogger(__name__)


def said(scene: Scene, caption: Caption) -> dict[str, int]:
    """For every attribute the number of the value that the caption names; where it is silent, one past the last."""
    thing, look = scene.thing, scene.look
    values = {
        "shape": thing.shape, "colour": thing.colour, "texture": thing.texture, "second": thing.second,
        "marking": thing.marking, "extra": thing.extra, "size": scene.size, "place": scene.place,
        "background": scene.background, "companion": scene.companion, "companion_colour": scene.companion_colour,
        "companion_side": scene.companion_side,
        "medium": look.medium, "tint": look.tint, "framed": "yes" if look.framed else "no",
    }  # fmt: skip
    return {
        name: VALUES[name].index(values[name]) if name in caption.named else len(VALUES[name]) for name in SAID
    }


def spread(pooled: Tensor) -> Tensor:
    """How far pooled captions [n, width] are from mean zero and deviation one, per channel."""
    return pooled.mean(0).square().mean() + (pooled.std(0) - 1).square().mean()


def _heads(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(width, len(VALUES[name]) + 1) for name in SAID})


def train(rank: int, workers: int, folder: Path, steps: int, comfyui: Path | None) -> None:
    use_comfyui(comfyui)
    from .model import WIDTHS, TextEncoder
    from .tokens import host_tokens

    start_log(quiet=rank > 0)
    state_file, tokens = folder / "text_state.pt", host_tokens()
    torch.manual_seed(0)
    encoders = nn.ModuleDict({key: TextEncoder(key, tokens.used[key]) for key in WIDTHS})
    # What the UNet gets: the states at the end token, of both, and the pooled caption of the second.
    heads = nn.ModuleDict({"l": _heads(WIDTHS["l"]), "g": _heads(WIDTHS["g"]), "pooled": _heads(WIDTHS["g"])})
    parameters = [*encoders.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    step, begun, before = 0, time.monotonic(), 0.0
    if state_file.is_file():
        state = load_state(state_file)
        encoders.load_state_dict(state["encoders"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
    while step < steps:
        rng = np.random.default_rng((6, step, rank))
        scenes = [random_scene(rng) for _ in range(BATCH // workers)]
        captions = [describe(scene, rng) for scene in scenes]
        labels = [said(scene, caption) for scene, caption in zip(scenes, captions, strict=True)]
        wanted = {name: torch.tensor([label[name] for label in labels]) for name in SAID}
        indices, lengths = tokens.batch([caption.text for caption in captions], POSITIONS)
        ends = torch.arange(len(lengths)), torch.tensor(lengths) - 1
        read: dict[str, Tensor] = {}
        for key, encoder in encoders.items():
            hidden, pooled = encoder(indices[key], lengths)
            read[key] = hidden[ends]
        read["pooled"] = pooled
        losses = {
            name: torch.stack([functional.cross_entropy(heads[k][name](x), wanted[name]) for k, x in read.items()])
            for name in SAID
        }
        loss = torch.stack(list(losses.values())).mean() + SPREAD_WEIGHT * spread(pooled)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP, max(0.02, 2 * (steps - step) / steps))
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        for encoder in encoders.values():
            encoder.keep_norms()
        step += 1
        if step % 50 == 0:
            worst = max(losses, key=lambda name: float(losses[name].mean().detach()))
            log.info(
                "step %d loss %.4f, worst %s %.3f, pooled mean %.2f deviation %.2f, %.0f s", step, float(loss.detach()),
                worst, float(losses[worst].mean().detach()), float(pooled.mean(0).abs().mean()),
                float(pooled.std(0).mean()), before + time.monotonic() - begun,
            )  # fmt: skip
        if rank == 0 and (step % EVERY == 0 or step == steps):
            seconds = before + time.monotonic() - begun
            state = {"encoders": encoders.state_dict(), "heads": heads.state_dict(), "step": step, "seconds": seconds}
            save_state(state_file, {**state, "optimizer": optimizer.state_dict()})


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach the text encoders what captions say.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.workers, options.folder, options.steps, options.comfyui)


if __name__ == "__main__":
    main()
