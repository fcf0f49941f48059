# ruff: noqa: T201
"""What a training loses when it is interrupted or its process killed: one step at most.

    python -m benchmarks.interruptions [--interruptions 100] [--kills 20] [--host STOPS KILLS] [--seed 0]

in the repository's folder, with the Python of an environment for ComfyUI; DTI_COMFYUI and DTI_PYTHON choose which
(CONTRIBUTING.md). With `--host 0 0` torch is enough. Every run is resumed until it is done, and its vectors are then
compared bit for bit with those of the run that was left alone.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path

from benchmarks.interruptions import toy
from benchmarks.interruptions.count import Count, counted


def toy_counts(interruptions: int, kills: int, chance: random.Random) -> Iterator[tuple[str, Count]]:
    for name, wanted, attempt in (
        ("interrupted at any line", interruptions, toy.interrupted_attempt),
        ("process killed", kills, toy.killed_attempt),
    ):
        with tempfile.TemporaryDirectory() as folder:
            yield name, counted(wanted, partial(attempt, chance=chance, folder=Path(folder)), toy.left_alone)


def host_counts(stops: int, kills: int, chance: random.Random) -> Iterator[tuple[str, Count]]:
    # Needs packages that the toy does without.
    from benchmarks.interruptions.in_host import Runs, make_small_base
    from benchmarks.small_checkpoints import small_world
    from comfy_host.client import Client
    from comfy_host.environment import comfyui_tree, comfyui_version, given_interpreter
    from comfy_host.process import running_host

    tree, python = comfyui_tree(), given_interpreter() or Path(sys.executable)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        bases = [Path(folder, name) for name in ("stays", "killed")]
        checkpoint = small_world(tree, python, Path(folder))
        for base in bases:
            make_small_base(base, checkpoint)
        with running_host(tree, python, bases[0], ["--disable-api-nodes"]) as host, Client(host) as client:
            runs, version = Runs(client, checkpoint.name, chance), comfyui_version(tree)
            yield f"Stop, in ComfyUI {version}", counted(stops, runs.stopped, runs.left_alone)
            killed = partial(runs.killed, tree=tree, python=python, base=bases[1])
            yield f"killed, ComfyUI {version}", counted(kills, killed, runs.left_alone)
    at = ", ".join(f"{runs.stopped_at.count(moment)} {moment} the steps" for moment in ("before", "during", "after"))
    kept = f"{sum(runs.images)} of {len(runs.images)}"
    print(f"\nStop was pressed {at}. The host's image was the same after {kept} runs that came to their end.")


def main(arguments: Sequence[str] | None = None) -> dict[str, Count]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--interruptions", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--host", nargs=2, type=int, default=(20, 5), metavar=("STOPS", "KILLS"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance, counts = random.Random(options.seed), {}
    print(
        "| | how many | most steps lost at once | steps lost in all | runs resumed to their end | equal, bit for bit |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [toy_counts(options.interruptions, options.kills, chance)]
    if any(options.host):
        rows.append(host_counts(*options.host, chance))
    for name, count in (row for part in rows for row in part):
        print("|", " | ".join(map(str, (name, *astuple(count)))), "|", flush=True)
        counts[name] = count
    return counts


if __name__ == "__main__":
    main()
