"""From Run to the first step."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from dti_pack.dti_core.training import train
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.nodes.host.training.memory import plan_memory
from dti_pack.nodes.host.training.session import training_session

from benchmarks.speed.product import config
from benchmarks.speed.turns import clock
from benchmarks.speed.world import RESOLUTION, load_world


def seconds_to_first_step(checkpoint: Path) -> dict[str, float]:
    """The parts in order, each in seconds: what the host's loaders do, then what DTI Train does."""
    marks = [("", clock())]

    def done(part: str) -> None:
        marks.append((part, clock()))

    world = load_world(checkpoint)
    done("load the checkpoint, encode four images")
    recipe = config(steps=2)
    sizes = {"edge": RESOLUTION, "batch_size": 4, "microbatch_size": 0}
    memory = plan_memory(world.model, world.clip, captions=OBJECT_TEMPLATES, **sizes)
    done("choose the memory plan")
    with training_session(world.model, world.clip, memory) as (text_encoder, denoiser):
        done("open the session")
        ends: list[float] = []
        train(text_encoder, denoiser, world.images, recipe, lambda report: ends.append(clock()))
        marks += [("first step, with what is read once", ends[0]), ("second step", ends[1])]
    return {part: end - start for (_, start), (part, end) in pairwise(marks)}
