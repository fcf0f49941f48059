# ruff: noqa: T201
"""What a training loses when it is interrupted or its process killed: one step at most.

    python -m benchmarks.interruptions [--interruptions 100] [--kills 20] [--host STOPS KILLS] [--seed 0]

in the repository's folder, with the Python of an environment for ComfyUI; DTI_COMFYUI and DTI_PYTHON choose which
(CONTRIBUTING.md). With `--host 0 0` torch is enough. Every run is resumed until it is done, and its vectors are then
compared bit for bit with those of the run that was left alone.
"""

from __future__ import annotations

import argparse
import random
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
    from benchmarks.interruptions.in_host import Runs
    from benchmarks.small_host import make_small_host

    with tempfile.TemporaryDirectory() as folder:
        stays, other = (make_small_host(Path(folder, name)) for name in ("stays", "killed"))
        with stays.started() as client:
            runs = Runs(stays, client, chance)
            yield f"Stop, in ComfyUI {stays.version}", counted(stops, runs.stopped, runs.left_alone)
            killed = partial(runs.killed, other=other)
            yield f"killed, ComfyUI {stays.version}", counted(kills, killed, runs.left_alone)
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
