"""The host's own Train LoRA node on the same images; it gets its captions encoded, and encodes none itself."""

from __future__ import annotations

from itertools import pairwise

import comfy.utils
from comfy_extras.nodes_train import TrainLoraNode

from benchmarks.speed.turns import clock
from benchmarks.speed.world import WORD, World


def train_lora(world: World, batch_size: int, steps: int) -> list[float]:
    """Seconds of every step but the first: whole batch, float32, rank 8, nothing recomputed."""
    latents = [{"samples": image.mean[None]} for image in world.images]
    positive = [world.clip.encode_from_tokens_scheduled(world.clip.tokenize(f"a photo of a {WORD}"))]
    inputs = {field.id: field.default for field in TrainLoraNode.define_schema().inputs if hasattr(field, "default")}
    chosen = {
        "batch_size": batch_size,
        "steps": steps,
        "training_dtype": "fp32",
        "lora_dtype": "fp32",
        "gradient_checkpointing": False,
    }
    ends: list[float] = []
    hook, enabled = comfy.utils.PROGRESS_BAR_HOOK, comfy.utils.PROGRESS_BAR_ENABLED
    try:
        comfy.utils.PROGRESS_BAR_ENABLED = False
        comfy.utils.set_progress_bar_global_hook(lambda *args, **kwargs: ends.append(clock()))
        single = {name: [value] for name, value in (inputs | chosen).items()}
        TrainLoraNode.execute(**{**single, "model": [world.model], "latents": latents, "positive": positive})
    finally:
        comfy.utils.set_progress_bar_global_hook(hook)
        comfy.utils.PROGRESS_BAR_ENABLED = enabled
    return [end - start for start, end in pairwise(ends)]
