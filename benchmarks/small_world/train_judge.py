"""Trains the evaluator on drawings, and measures it on drawings that it has not seen.

python -m small_world.train_judge FOLDER --comfyui COMFYUI   (FOLDER holds pictures.npy and vae_state.pt)
Attributes are learned from the scenes that the model is trained on; things, from others that are drawn three times
each, in different surroundings, many of them beside a near miss.
Some images go through the codec, blur and noise first: the evaluator is not to stumble over those.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from .comfyui import start_log, use_comfyui
from .dataset import HELD_OUT_SEED, load, scene_at
from .drawing import draw
from .files import load_state, save_state, save_tensors
from .judge import FILE, VALUES, Network, truth
from .scenes import Look, Scene, random_thing, surround
from .train import Scenes

THINGS = 3000
VIEWS_EACH = 3
STEPS = 3000
BATCH = 40  # images of any scene, for the attributes
TWICE = 5  # of them at most with a second companion, of which the drawings for the model have none
PAIRS = 4  # and pairs of things, each thing with all its views
RATE = 2e-3
RARE_WEIGHT = 2.0  # drawn so much more often for each rare look
SHARPNESS = 12.0  # inverse temperature of the contrast
HELD_OUT = 1500
log = logging.getLogger(__name__)


def views(index: int) -> list[Scene]:
    """One thing in three surroundings; every other even one is its neighbour but for one attribute."""
    rng = np.random.default_rng((11, index))
    thing = random_thing(rng)
    if index % 4 == 0:
        neighbour = random_thing(np.random.default_rng((11, index + 1)))
        for name in rng.permutation(["shape", "colour", "texture", "marking"]):
            near = replace(neighbour, **{str(name): getattr(thing, name)})
            if near != neighbour and near.colour != near.second:
                thing = near
                break
    return [surround(rng, thing) for _ in range(VIEWS_EACH)]


def rare_looks(scene: Scene) -> int:
    """How much of its look few drawings have."""
    look = scene.look
    return sum((look.medium != "flat", look.tint != "none"))


def with_second_companion(scenes: list[Scene], most: int) -> dict[int, Scene]:
    """The first `most` accompanied scenes once more, now with two companions, by their number in the list."""
    accompanied = [number for number, scene in enumerate(scenes) if scene.companion != "none"]
    return {number: replace(scenes[number], twice=True) for number in accompanied[:most]}


def labels(scenes: list[Scene]) -> dict[str, Tensor]:
    """Class numbers [n] per attribute, -1 where the image does not show it."""
    truths = [truth(scene) for scene in scenes]
    return {
        name: torch.tensor([values.index(row[name]) if name in row else -1 for row in truths])
        for name, values in VALUES.items()
    }


def to_tensor(pictures: npt.NDArray[np.uint8]) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def roughen(pixels: Tensor, codec: torch.nn.Module, rng: np.random.Generator) -> Tensor:
    """What sampling does to an image: the codec's round trip, noise in its latents, blur, a shift of colour."""
    chosen = torch.from_numpy(rng.random(len(pixels)) < 0.1)
    if chosen.any():
        latents = codec.encode(pixels[chosen])
        pixels = pixels.clone()
        pixels[chosen] = codec.decode(latents + 0.15 * torch.randn_like(latents)).clamp(0, 1)
    if rng.random() < 0.3:
        pixels = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain = torch.from_numpy(rng.normal(1, 0.04, (len(pixels), 3, 1, 1)).astype(np.float32))
    return (pixels * gain + 0.02 * torch.randn_like(pixels)).clamp(0, 1)


def contrast(vectors: Tensor, names: Tensor) -> Tensor:
    """Each image's own thing against all others in the batch: vectors [n, 64], thing numbers [n]."""
    logits = SHARPNESS * vectors @ vectors.T
    logits.fill_diagonal_(-1e4)
    same = names[:, None] == names[None, :]
    same.fill_diagonal_(False)
    return -(functional.log_softmax(logits, dim=1) * same).sum(1).div(same.sum(1)).mean()


def accuracies(network: Network) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of held-out drawings told right, over all looks and over the plain look."""
    network.eval()
    scenes = [scene_at(index, HELD_OUT_SEED) for index in range(HELD_OUT)]
    for number, scene in with_second_companion(scenes, HELD_OUT // 6).items():
        scenes[number] = scene
    with torch.no_grad():
        rows = [network(to_tensor(np.stack([draw(s) for s in scenes[i : i + 50]])))[0] for i in range(0, HELD_OUT, 50)]
    truths = labels(scenes)
    plain = torch.tensor([scene.look == Look() for scene in scenes])
    everywhere, plainly = {}, {}
    for name in VALUES:
        right = torch.cat([row[name] for row in rows]).argmax(1) == truths[name]
        shown = truths[name] >= 0
        everywhere[name] = float(right[shown].float().mean())
        plainly[name] = float(right[shown & plain].float().mean())
    return everywhere, plainly


def train(folder: Path, steps: int) -> Network:
    from .vae import Codec

    state_file = folder / "judge_state.pt"
    codec = Codec()
    codec.load_state_dict(load_state(folder / "vae_state.pt")["codec"])
    codec = codec.to(memory_format=torch.channels_last).eval()
    torch.manual_seed(0)
    network = Network().to(memory_format=torch.channels_last)
    drawings = load(folder / "pictures.npy")
    scenes = Scenes(len(drawings))
    chances = np.asarray([1 + RARE_WEIGHT * rare_looks(scenes[index]) for index in range(len(scenes))])
    chances /= chances.sum()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    step = 0
    if state_file.is_file():
        state = load_state(state_file)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    drawn: dict[int, tuple[list[Scene], npt.NDArray[np.uint8]]] = {}
    begun = time.monotonic()
    while step < steps:
        rng = np.random.default_rng((12, step))
        torch.manual_seed(step)
        starts = rng.integers(0, THINGS // 2, PAIRS)
        picked = [int(index) for start in starts for index in (2 * start, 2 * start + 1)]
        for index in picked:
            if index not in drawn:
                shown = views(index)
                drawn[index] = shown, np.stack([draw(scene) for scene in shown])
        others = rng.choice(len(drawings), BATCH, p=chances)
        rest, shown_rest = [scenes[i] for i in others], drawings[others]
        for number, scene in with_second_companion(rest, TWICE).items():
            rest[number], shown_rest[number] = scene, draw(scene)
        pixels = to_tensor(np.concatenate([*(drawn[index][1] for index in picked), shown_rest]))
        wanted = labels([*(scene for index in picked for scene in drawn[index][0]), *rest])
        names = torch.tensor(picked).repeat_interleave(VIEWS_EACH)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100, max(0.02, 2 * (steps - step) / steps))
        network.train()
        logits, vectors = network(roughen(pixels, codec, rng))
        shown_names = [name for name in VALUES if (wanted[name] >= 0).any()]
        told = [functional.cross_entropy(logits[n], wanted[n], ignore_index=-1) for n in shown_names]
        same = contrast(vectors[: len(names)], names)
        optimizer.zero_grad()
        (sum(told) + same).backward()
        optimizer.step()
        step += 1
        if step % 50 == 0:
            told_mean = float(sum(told).detach()) / len(told)
            seconds = time.monotonic() - begun
            log.info("step %d told %.3f same %.3f, %.0f s", step, told_mean, float(same.detach()), seconds)
        if step % 200 == 0 or step == steps:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            save_state(state_file, state)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the evaluator.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    use_comfyui(options.comfyui)
    start_log()
    torch.set_num_threads(1)  # two are no faster
    network = train(options.folder, options.steps)
    everywhere, plainly = accuracies(network)
    for name in VALUES:
        log.info("%-17s %.3f of all held-out drawings, %.3f of plain ones", name, everywhere[name], plainly[name])
    tensors = {n: t.half() for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    notes = {"accuracy": json.dumps(plainly), "accuracy_all_looks": json.dumps(everywhere)}
    save_tensors(options.out, tensors, notes)
    log.info("Wrote %s, %.2f MB.", options.out, options.out.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
