"""What each memory plan costs in time, on a device that has room for all."""

from __future__ import annotations

from statistics import mean

from dti_pack.nodes.host.training.memory_plan import MemoryPlan, ladder

from benchmarks.speed.product import config, seconds_per_step
from benchmarks.speed.turns import Timed
from benchmarks.speed.world import World


def plans(world: World, steps: int) -> dict[str, Timed]:
    """Seconds per step under each plan, from fast to small. Streaming is left out: a CPU has nowhere to stream from."""
    return {
        f"{plan.name}, {plan.microbatch_size} at a time": _under(world, plan, steps)
        for plan in ladder(batch_size=4)
        if not plan.stream_text_encoders
    }


def _under(world: World, plan: MemoryPlan, steps: int) -> Timed:
    return lambda: mean(seconds_per_step(world, config(steps + 1, plan.microbatch_size), plan))
