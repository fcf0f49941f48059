# ruff: noqa: T201
"""Which card, which resolution, how much: what training is predicted to take, without a GPU.

    python run.py memory [--family flux]

Every number is the peak of tensors on the card in one step of the pack's own code at full size, counted on torch's
meta device; to it come workspaces and fragmentation, for which the pack leaves a margin.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path

from comfy_host.in_process import use_host

RESOLUTIONS = (512, 768, 1024)
CARDS = (6, 8, 10, 12, 16, 24)  # GiB
BATCH_SIZE = 4
# Of a card's memory: the driver's context, what a desktop shows, and what ComfyUI leaves to other programs on Windows.
TAKEN_GIB = 1.4


def usable_bytes(card: int) -> float:
    """What is left of a card of so many GiB."""
    return (card - TAKEN_GIB) * 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, required=True, help="ComfyUI's folder")
    parser.add_argument("--family", default="sdxl", help="or one of those in large_families.py")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what the host's packages say while they load
    use_host(options.comfyui)
    # These import the host and the pack.
    from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
    from dti_pack.nodes.host.training.memory import footprint_on
    from dti_pack.nodes.host.training.memory_plan import first_that_fits, ladder, peak_bytes
    from dti_pack.nodes.host.training.trained_encoders import trained_encoders

    from benchmarks.memory.card import full_size_sdxl
    from benchmarks.memory.large_families import FAMILIES, large_family
    from benchmarks.memory.step import counted_step

    if options.family not in {"sdxl", *FAMILIES}:
        parser.error(f"--family is {options.family}; this host has sdxl, {', '.join(FAMILIES)}")
    full_size = full_size_sdxl if options.family == "sdxl" else partial(large_family, options.family)
    plans = ladder(BATCH_SIZE)
    names = [f"{plan.name}, {plan.microbatch_size} at a time" for plan in plans]
    print(f"Peak of tensors in GB (10^9 bytes), in brackets what the pack expects; batch {BATCH_SIZE}, bf16\n")
    print(f"| plan | {' | '.join(f'{edge} px' for edge in RESOLUTIONS)} |\n| --- |{' --- |' * len(RESOLUTIONS)}")
    expected = {}
    rows: dict[str, list[str]] = {name: [] for name in names}
    for edge in RESOLUTIONS:
        for name, plan in zip(names, plans, strict=True):
            with full_size() as (model, clip):
                captions, trained = OBJECT_TEMPLATES[:BATCH_SIZE], trained_encoders(clip, "auto")
                expected[edge] = footprint_on(model, clip, edge, captions, trained)
                counted = counted_step(model, clip, plan, edge, BATCH_SIZE, encoders="auto").peak
            rows[name].append(f"{counted / 1e9:.1f} ({peak_bytes(plan, expected[edge]) / 1e9:.1f})")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")

    print(f"\nThe plan that is chosen, where {TAKEN_GIB} GiB of the card are taken by others\n")
    print(f"| card | {' | '.join(f'{edge} px' for edge in RESOLUTIONS)} |\n| --- |{' --- |' * len(RESOLUTIONS)}")
    for card in CARDS:
        chosen = [first_that_fits(plans, expected[edge], usable_bytes(card)) for edge in RESOLUTIONS]
        print(f"| {card} GB | {' | '.join(names[n] if n >= 0 else 'does not fit' for n in chosen)} |")


if __name__ == "__main__":
    main()
