"""Trains the image codec on the drawings, then encodes them all once for the model's training.

python -m small_world.train_vae FOLDER --comfyui COMFYUI   (FOLDER holds pictures.npy; resumes by itself)
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from .comfyui import start_log, use_comfyui
from .dataset import COUNT, load
from .files import load_state, save_state, write_whole
from .parallel import average_gradients, launch

STEPS = 2800
BATCH = 16  # crops of CROP pixels a step, over all workers
CROP = 64
WHOLE = 0.15  # share of steps on whole drawings instead, a quarter as many
RATE = 1.5e-3
LATENT_NOISE = 0.08  # what the decoder should forgive a sampler
GUIDED = 350  # first steps, in which three latent channels are pulled towards the mean colours
# Lightness, red against blue, green against purple; brought to about unit deviation over the drawings.
_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 2.0, -1.0))
_MEANS, _DEVIATIONS = (1.67, 0.03, -0.02), (0.73, 0.33, 0.31)
EVERY = 250  # steps between saved states
log = logging.getLogger(__name__)


def to_pixels(pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w] in 0..1."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return pixels.contiguous(memory_format=torch.channels_last)


def _batch(drawings: npt.NDArray[np.uint8], step: int, rank: int, workers: int) -> torch.Tensor:
    """The pixels of one worker in one step: crops on the latent grid, now and then whole drawings."""
    whole = np.random.default_rng((1, step)).random() < WHOLE
    rng = np.random.default_rng((2, step, rank))
    if whole:
        return to_pixels(drawings[np.sort(rng.integers(0, len(drawings), BATCH // workers // 4))])
    out = []
    for _ in range(BATCH // workers):
        y, x = 8 * rng.integers(0, (drawings.shape[1] - CROP) // 8 + 1, 2)
        out.append(drawings[rng.integers(len(drawings)), y : y + CROP, x : x + CROP])
    return to_pixels(np.stack(out))


def colours(pixels: torch.Tensor) -> torch.Tensor:
    """Mean colours of 8 x 8 pixels on three axes: [n, 3, h, w] to [n, 3, h/8, w/8].

    Left alone the codec takes hundreds of steps to find that there is colour at all.
    """
    axes = torch.einsum("kc,nchw->nkhw", torch.tensor(_AXES), torch.nn.functional.avg_pool2d(pixels, 8))
    return (axes - torch.tensor(_MEANS)[:, None, None]) / torch.tensor(_DEVIATIONS)[:, None, None]


def train(rank: int, workers: int, folder: Path, steps: int, comfyui: Path | None) -> None:
    use_comfyui(comfyui)
    from .vae import Codec

    start_log(quiet=rank > 0)

    drawings, state_file = load(folder / "pictures.npy"), folder / "vae_state.pt"
    torch.manual_seed(0)
    codec = Codec().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=RATE, weight_decay=1e-4, betas=(0.9, 0.98))
    step, begun, spent = 0, time.monotonic(), 0.0
    if state_file.is_file():
        state = load_state(state_file)
        codec.load_state_dict(state["codec"])
        if "optimizer" in state:  # not in a state restored from the compact file
            optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["seconds"]
    while step < steps:
        torch.manual_seed(step * workers + rank)
        pixels = _batch(drawings, step, rank, workers)
        rate = RATE * min(1.0, (step + 1) / 60) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        latents = codec.encode(pixels)
        out = codec.decode(latents + LATENT_NOISE * torch.randn_like(latents))
        error = out - pixels
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        shape = latents.mean((0, 2, 3)).square().mean() + (latents.std((0, 2, 3)) - 1).square().mean()
        pull = max(0.0, 1 - step / GUIDED) * (latents[:, :3] - colours(pixels)).square().mean()
        loss = error.abs().mean() + 2 * error.square().mean() + 0.7 * edges + 0.05 * shape + pull
        optimizer.zero_grad()
        loss.backward()
        average_gradients(codec.parameters())
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            level = -10 * math.log10(float(error.detach().square().mean()))
            log.info("step %d loss %.4f psnr %.2f shape %.4f", step, float(loss.detach()), level, float(shape.detach()))
        if rank == 0 and (step % EVERY == 0 or step == steps):
            seconds = spent + time.monotonic() - begun
            state = {"codec": codec.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(state_file, {**state, "step": step, "seconds": seconds})
    log.info("The codec is trained.")


@torch.no_grad()
def encode(rank: int, workers: int, folder: Path, count: int, comfyui: Path | None) -> None:
    """Latents of the first `count` drawings, float16 [count, 4, 16, 16]; the first worker writes the file."""
    use_comfyui(comfyui)
    from .vae import Codec

    start_log(quiet=rank > 0)
    drawings = load(folder / "pictures.npy")[:count]
    codec = Codec().to(memory_format=torch.channels_last)
    codec.load_state_dict(load_state(folder / "vae_state.pt")["codec"])
    mine = np.array_split(np.arange(len(drawings)), workers)[rank]
    out = torch.empty((len(mine), 4, 16, 16), dtype=torch.float16)
    for start in range(0, len(mine), 32):
        out[start : start + 32] = codec.encode(to_pixels(drawings[mine[start : start + 32]])).half()
        if start % 3200 == 0:
            log.info("Encoded %d of %d.", start, len(mine))
    parts: list[torch.Tensor] = [out]
    if workers > 1:
        gathered: list[Any] = [None] * workers
        dist.all_gather_object(gathered, out)
        parts = gathered
    if rank == 0:
        whole = torch.cat(parts).numpy()

        def write(path: Path) -> None:
            with path.open("wb") as stream:
                np.save(stream, whole)

        write_whole(folder / "latents.npy", write)
        log.info("Latents: mean %.3f, deviation %.3f.", whole.mean(dtype=float), whole.std(dtype=float))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the codec and encode the drawings.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--count", type=int, default=COUNT, help="drawings to encode")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.workers, options.folder, options.steps, options.comfyui)
    launch(encode, options.workers, options.folder, options.count, options.comfyui)


if __name__ == "__main__":
    main()
