# ruff: noqa: T201
"""Whether a host that trains many times comes to hold more: memory, tensors, handles, files.

    python -m benchmarks.many_trainings [--trainings 50]

in the repository's folder, with the Python of an environment for ComfyUI; DTI_COMFYUI and DTI_PYTHON choose which
(CONTRIBUTING.md). Trainings of all memory plans and methods on the small world, each with previews, files on the way
and its result, under one name.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.small_checkpoints import BENCHMARKS
from benchmarks.small_host import PLANS, SmallHost, make_small_host
from comfy_host.client import Client
from comfy_host.graphs import Graph, node
from dti_core.methods import METHODS

ROWS = 5


def training(host: SmallHost, number: int) -> Graph:
    """One of many; a seed of its own, or the host would take the result from its cache."""
    return host.training(
        "concept",
        steps=2,
        batch_size=2,
        resolution=64,
        seed=number,
        method=list(METHODS)[number % len(METHODS)],
        memory_plan=PLANS[number % len(PLANS)],
        save_every=1,
        preview_every=1,
        if_exists="replace",
    )


def counts(client: Client) -> dict[str, int]:
    """What the host's process holds beside its history of prompts, and files in its folders."""
    client.post("/history", {"clear": True})
    run = client.run({"counts": node("DTIHostCounts")})
    held: dict[str, int] = json.loads(run.outputs["counts"]["text"][0])
    folders = [client.host.base / name for name in ("models/embeddings", "output", "input", "temp", "user")]
    return held | {"files": sum(path.is_file() for folder in folders for path in folder.rglob("*"))}


def main(arguments: Sequence[str] | None = None) -> list[dict[str, int]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trainings", type=int, default=50)
    options = parser.parse_args(arguments)
    every, rows = max(options.trainings // ROWS, 1), []
    with tempfile.TemporaryDirectory() as folder:
        host = make_small_host(Path(folder), [BENCHMARKS / "host_counts"])
        with host.started() as client:
            for number in range(1, options.trainings + 1):
                client.run(training(host, number))
                if number % every == 0 or number == 1:
                    rows.append(counts(client))
                    if len(rows) == 1:
                        print(f"| trainings, ComfyUI {host.version} |", " | ".join(rows[0]), "|")
                        print("| --- |" + " --- |" * len(rows[0]))
                    print(f"| {number} |", " | ".join(map(str, rows[-1].values())), "|", flush=True)
    return rows


if __name__ == "__main__":
    main()
