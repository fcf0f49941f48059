"""Images from a checkpoint through the host's own loader and sampler.

python -m small_world.sample CHECKPOINT OUT.png --prompt "a red star on the beach" --comfyui COMFYUI
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from .comfyui import start_log, use_comfyui
from .scenes import SIZE

# Images denoised together; more gain nothing on a CPU.
BATCH = 40
# Images decoded together.
DECODED = 2
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampling:
    """How images are sampled."""

    steps: int = 20
    guidance: float = 4.0
    sampler: str = "euler"
    scheduler: str = "normal"


class Painter:
    """A loaded checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        import comfy.sd
        import small_sdxl  # noqa: F401  (registers the architecture)

        if not checkpoint.is_file():
            raise ValueError(f"{checkpoint} is not there; make it with: python -m small_world.checkpoint assemble")
        self.model, self.clip, self.vae, _ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))
        # With few images at a time, which stay in the processor's cache, decoding takes half as long.
        self.vae.first_stage_model.taesd_decoder.to(memory_format=torch.channels_last)

    def encode(self, text: str) -> list[list[Any]]:
        return list(self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text)))

    @torch.inference_mode()
    def paint(self, prompts: Sequence[str], seeds: Sequence[int], how: Sampling | None = None) -> npt.NDArray[np.uint8]:
        """One image per prompt, from the seed beside it: uint8 [prompts, 128, 128, 3]."""
        import comfy.sample

        latent = torch.zeros(1, 4, SIZE // 8, SIZE // 8)
        noise = torch.cat([comfy.sample.prepare_noise(latent, seed) for seed in seeds])
        encoded = {text: self.encode(text)[0] for text in dict.fromkeys(["", *prompts])}
        return self.denoise([encoded[text] for text in prompts], encoded[""], noise, how or Sampling())

    def denoise(self, wanted: Sequence[Any], empty: Any, noise: Tensor, how: Sampling) -> npt.NDArray[np.uint8]:
        """Images of noise [n, 4, 16, 16], each with its own of n encoded prompts: uint8 [n, 128, 128, 3].

        Different prompts go in one batch: the host takes conditioning with as many rows as there are latents.
        """
        import comfy.sample

        out = []
        for start in range(0, len(noise), BATCH):
            rows = slice(start, start + BATCH)
            context = torch.cat([tensor for tensor, _ in wanted[rows]])
            pooled = torch.cat([more["pooled_output"] for _, more in wanted[rows]])
            samples = comfy.sample.sample(
                self.model, noise[rows], how.steps, how.guidance, how.sampler, how.scheduler,
                [[context, {**wanted[0][1], "pooled_output": pooled}]], [list(empty)], torch.zeros_like(noise[rows]),
                disable_pbar=True,
            )  # fmt: skip
            out += [self._decode(few) for few in samples.split(DECODED)]
        return np.concatenate(out)

    def _decode(self, samples: Tensor) -> npt.NDArray[np.uint8]:
        decoded = self.vae.decode(samples.contiguous(memory_format=torch.channels_last))
        return (decoded * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy()


def sheet(pictures: npt.NDArray[np.uint8], columns: int) -> Image.Image:
    """Images [n, h, w, 3] in rows."""
    rows = [np.concatenate(list(pictures[i : i + columns]), 1) for i in range(0, len(pictures), columns)]
    return Image.fromarray(np.concatenate(rows, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Sample images.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompt", action="append", required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--guidance", type=float, default=Sampling.guidance)
    parser.add_argument("--comfyui", type=Path)
    options = parser.parse_args()
    use_comfyui(options.comfyui)
    start_log()
    how = Sampling(guidance=options.guidance)
    prompts = [prompt for prompt in options.prompt for _ in range(options.seeds)]
    pictures = Painter(options.checkpoint).paint(prompts, [*range(options.seeds)] * len(options.prompt), how)
    sheet(pictures, options.seeds).save(options.out)
    log.info("Wrote %s.", options.out)


if __name__ == "__main__":
    main()
