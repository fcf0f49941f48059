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
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.demo import png
from benchmarks.small_checkpoints import BENCHMARKS, SMALL_SDXL, small_world
from benchmarks.small_world.subjects import SUBJECTS, pictures_of
from comfy_host.client import Client
from comfy_host.environment import comfyui_tree, comfyui_version, given_interpreter
from comfy_host.graphs import Graph, node, train
from comfy_host.process import make_base, running_host

PLANS = ("auto", "recompute all blocks", "stream all")
METHODS = ("DTI", "Textual Inversion", "CrossInit", "projected AdamW")
ROWS = 5


def training(checkpoint: str, number: int) -> Graph:
    """One of many; a seed of its own, or the host would take the result from its cache."""
    return train(
        checkpoint,
        "subject",
        name="concept",
        initializer=SUBJECTS[0].word,
        steps=2,
        batch_size=2,
        resolution=64,
        seed=number,
        method=METHODS[number % len(METHODS)],
        memory_plan=PLANS[number % len(PLANS)],
        save_every=1,
        preview_every=1,
        if_exists="replace",
    )


def counts(client: Client) -> dict[str, int]:
    """What the host's process holds, and files in its folders."""
    run = client.run({"counts": node("DTIHostCounts")})
    held: dict[str, int] = json.loads(run.outputs["counts"]["text"][0])
    folders = [client.host.base / name for name in ("models/embeddings", "output", "input", "temp", "user")]
    return held | {"files": sum(path.is_file() for folder in folders for path in folder.rglob("*"))}


def main(arguments: Sequence[str] | None = None) -> list[dict[str, int]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trainings", type=int, default=50)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tree, python = comfyui_tree(), given_interpreter() or Path(sys.executable)
    every, rows = max(options.trainings // ROWS, 1), []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_base(base, packs=[SMALL_SDXL, BENCHMARKS / "host_counts"])
        checkpoint = small_world(tree, python, base / "models" / "checkpoints").name
        with running_host(tree, python, base, ["--disable-api-nodes"]) as host, Client(host) as client:
            for number, picture in enumerate(pictures_of(SUBJECTS[0]), start=1):
                client.add_input(f"subject/{number}.png", png(picture))
            for number in range(1, options.trainings + 1):
                client.run(training(checkpoint, number))
                if number % every == 0 or number == 1:
                    rows.append(counts(client))
                    if len(rows) == 1:
                        print(f"| trainings, ComfyUI {comfyui_version(tree)} |", " | ".join(rows[0]), "|")
                        print("| --- |" + " --- |" * len(rows[0]))
                    print(f"| {number} |", " | ".join(map(str, rows[-1].values())), "|", flush=True)
    return rows


if __name__ == "__main__":
    main()
