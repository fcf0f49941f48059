# ruff: noqa: T201
"""How long a training step takes on this machine's CPU: python -m benchmarks.speed --comfyui FOLDER [part ...]

Run it in the repository's folder with the Python of an environment for that ComfyUI, one that has diffusers'
companion transformers, as ComfyUI's own has. The parts print their tables in Markdown.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.small_checkpoints import small_world
from comfy_host.environment import comfyui_tree
from comfy_host.in_process import use_host

MEASURED = ("step", "growth", "start", "plans", "arithmetic")
TRIED = ("layers", "precision", "noise")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(MEASURED + TRIED)}; all, if none is named"
    )
    parser.add_argument("--comfyui", metavar="FOLDER", help="a ComfyUI folder; else DTI_COMFYUI, else our own")
    parser.add_argument("--rounds", type=int, default=15, help="times that everything has its turn")
    parser.add_argument("--steps", type=int, default=4, help="training steps in a turn")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(MEASURED + TRIED):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(MEASURED + TRIED)}")
    tree = comfyui_tree(options.comfyui)
    warnings.simplefilter("ignore")  # what the host's packages say while they load
    use_host(tree)
    import torch
    from comfy.cli_args import args as host_args

    host_args.use_pytorch_cross_attention = True  # what training uses whatever the host's default is

    # Two threads on so small a model wait for each other most of the time, and one is easier to time.
    torch.set_num_threads(1)
    from benchmarks.speed import tables
    from benchmarks.speed.tried import tables as tried

    logging.disable(logging.INFO)
    print(tables.machine(tree), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = small_world(tree, Path(sys.executable), Path(folder))
        for part in options.parts or MEASURED + TRIED:
            started = time.monotonic()
            print(f"\n{getattr(tried if part in TRIED else tables, part)(checkpoint, options.rounds, options.steps)}")
            print(f"({part}: {time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
