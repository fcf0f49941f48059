"""What was tried, each as a table in Markdown."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, quantiles

import torch
from dti_pack.nodes.host.training.memory_plan import ladder

from benchmarks.speed.markdown import table
from benchmarks.speed.tried import antithetic_noise, lean_layers, low_precision
from benchmarks.speed.turns import in_turns, ratio, spread
from benchmarks.speed.world import load_world

LONG = 15  # steps of the trainings here, for each step of a turn


def layers(checkpoint: Path, rounds: int, steps: int) -> str:
    """Layers that keep less: peak on SDXL, time and equality on the small world."""
    with torch.inference_mode():
        world = load_world(checkpoint)
        variants = lean_layers.VARIANTS
        times = {
            size: in_turns({name: lean_layers.timed(world, v, size, steps) for name, v in variants.items()}, rounds)
            for size in (1, 0)
        }
        ends = {name: lean_layers.vectors_after(world, v, steps) for name, v in variants.items()}
    whole, *_, single = (plan for plan in ladder(4) if plan.name == "keep all")
    rows = []
    for name, kinds in variants.items():
        peaks = [
            lean_layers.peak_at_full_size(kinds, plan, edge)
            for plan, edge in ((whole, 768), (single, 768), (single, 1024))
        ]
        rows.append(
            (
                name,
                *(f"{peak / 1e9:.2f}" for peak in peaks),
                *(ratio(of_size[name], of_size["as it is"]) for of_size in times.values()),
                "yes" if torch.equal(ends[name], ends["as it is"]) else "no",
            )
        )
    titles = ("keep less", "GB at 768, whole batch", "768, 1 at a time", "1024, 1 at a time")
    return table((*titles, "time, 1 at a time", "time, whole batch", "same bits"), rows)


def precision(checkpoint: Path, rounds: int, steps: int) -> str:
    """Text encoders, or the network, in less than float32."""
    with torch.inference_mode():
        world = load_world(checkpoint)
        turned = low_precision.angles(world, LONG * steps)
        apart = low_precision.degrees_apart_after(world, LONG * steps)
    rows = [
        (
            name,
            f"{spread(degrees).middle:.3g}",
            f"{quantiles(degrees, n=20)[-1]:.3g}",
            ", ".join(f"{key} {value:.2f}" for key, value in apart.get(name, {}).items()),
        )
        for name, degrees in turned.items()
    ]
    titles = ("lowered", "degrees from float32's gradient", "95th percentile")
    return table((*titles, f"degrees apart after {LONG * steps} steps"), rows)


def noise(checkpoint: Path, rounds: int, steps: int) -> str:
    """Noise in opposite pairs."""
    batches = 4 * LONG * steps
    with torch.inference_mode():
        found = antithetic_noise.cosines(load_world(checkpoint), batches)
    keys = list(next(iter(found.values())))
    rows = [(name, *(f"{mean(of_key[key]):.3f}" for key in keys)) for name, of_key in found.items()]
    titles = [f"mean cosine with the mean gradient, {key}" for key in keys]
    return table((f"noise of a batch of 4 ({batches} batches)", *titles), rows)
