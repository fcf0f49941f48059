"""The pack's own training, through its own session."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dti_pack.dti_core.training import TrainingConfig, train
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.nodes.host.training.memory import TrainingMemory
from dti_pack.nodes.host.training.memory_plan import MemoryPlan
from dti_pack.nodes.host.training.session import training_session

from benchmarks.speed.turns import clock
from benchmarks.speed.world import WORD, World


def config(steps: int, microbatch_size: int = 0, n_vectors: int = 0) -> TrainingConfig:
    """The recipe of the node, but for what is varied here."""
    return TrainingConfig(WORD, steps=steps, microbatch_size=microbatch_size, n_vectors=n_vectors)


def seconds_per_step(
    world: World, recipe: TrainingConfig, plan: MemoryPlan | None = None, images: Sequence[TrainingImage] = ()
) -> list[float]:
    """Train in a session of its own; the seconds of every step but the first, in which things are made ready."""
    ends: list[float] = []
    memory = None if plan is None else TrainingMemory([plan])
    with training_session(world.model, world.clip, memory) as (text_encoder, denoiser):
        train(text_encoder, denoiser, images or world.images, recipe, lambda report: ends.append(clock()))
    return [end - start for start, end in pairwise(ends)]
