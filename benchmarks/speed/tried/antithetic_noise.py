"""Noise in opposite pairs: does a batch's gradient come closer to the mean gradient?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from dti_pack.dti_core.training import train
from dti_pack.dti_core.training.data import Batch, draw_batch
from dti_pack.nodes.host.training.session import training_session
from torch import Tensor

from benchmarks.speed.product import config
from benchmarks.speed.tried.gradients import gradient_of
from benchmarks.speed.world import World

BATCH_SIZE = 4
WARM_UP = 50  # steps of training before gradients are looked at


def independent(batch: Batch) -> Batch:
    """As the recipe draws them."""
    return batch


def pairs(batch: Batch) -> Batch:
    """Two images at two noise levels, each with two noises."""
    twice = [0, 0, 1, 1]
    return replace(
        batch,
        latents=tuple(batch.latents[row] for row in twice),
        u=batch.u[twice],
        framing=batch.framing[twice],
        captions=tuple(batch.captions[row] for row in twice),
    )


def opposite_pairs(batch: Batch) -> Batch:
    """The same, the second noise of each being the first with its sign turned."""
    first, second = batch.noise[:2]
    return replace(pairs(batch), noise=(first, -first, second, -second))


DRAWS: dict[str, Callable[[Batch], Batch]] = {
    "independent": independent,
    "pairs, independent noise": pairs,
    "pairs, opposite noise": opposite_pairs,
}


def cosines(world: World, batches: int) -> dict[str, dict[str, list[float]]]:
    """By draw and encoder key: of each batch's gradient with the mean over as many other independent batches."""
    with training_session(world.model, world.clip) as (text_encoder, denoiser):
        vectors = train(text_encoder, denoiser, world.images, config(WARM_UP))

        def gradients(draw: Callable[[Batch], Batch], seed: int) -> dict[str, Tensor]:
            generator = torch.Generator().manual_seed(seed)
            drawn = (draw(draw_batch(world.images, BATCH_SIZE, generator)) for _ in range(batches))
            found = [gradient_of(text_encoder, denoiser, batch, vectors) for batch in drawn]
            return {key: torch.stack([one[key].flatten() for one in found]) for key in vectors}

        wanted = {key: rows.mean(0, keepdim=True) for key, rows in gradients(independent, seed=0).items()}
        return {
            name: {
                key: torch.cosine_similarity(rows, wanted[key]).tolist()
                for key, rows in gradients(draw, seed=1).items()
            }
            for name, draw in DRAWS.items()
        }
