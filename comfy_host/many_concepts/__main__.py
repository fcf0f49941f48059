"""Trains the concepts of a manifest, each GPU with a ComfyUI of its own; docs/many_concepts.md tells of it.

python -m comfy_host.many_concepts MANIFEST OUT --comfyui COMFYUI [--workers N] [--cpu] [--address ADDRESS] ...
A second call trains what is missing, changed or has failed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import ray

from comfy_host.environment import SetupError, comfyui_tree
from comfy_host.many_concepts.manifest import read_manifest
from comfy_host.many_concepts.results import Results
from comfy_host.many_concepts.training import prepare, train_all
from comfy_host.many_concepts.worker import Place
from comfy_host.ray_workers import cluster

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m comfy_host.many_concepts", description=(__doc__ or "").split(";")[0]
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path, help="on a path that all machines have; keeps states and results")
    parser.add_argument("--comfyui", help="ComfyUI's folder; else DTI_COMFYUI")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that runs ComfyUI; else this one")
    parser.add_argument("--models", type=Path, help="a folder as ComfyUI's models; else that of --comfyui")
    parser.add_argument("--pack", type=Path, action="append", default=[], help="one more node pack for the workflow")
    parser.add_argument("--workers", type=int, help="else as many as there are GPUs")
    parser.add_argument("--cpu", action="store_true", help="train without GPUs")
    parser.add_argument("--address", help="of a running Ray cluster; else one is started on this machine")
    parser.add_argument("--attempts", type=int, default=3, help="to train a concept when workers are lost")
    options = parser.parse_args()
    if options.attempts < 1 or (options.workers is not None and options.workers < 1):
        parser.error("--workers and --attempts must be 1 or more")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        return run(options)
    except (OSError, ValueError, SetupError) as error:
        log.error("%s", error)
        return 2


def run(options: argparse.Namespace) -> int:
    """0 where all concepts are trained, 1 where some are not."""
    manifest = read_manifest(options.manifest)
    tree, out = comfyui_tree(options.comfyui), options.out.resolve()
    results = Results(out / "results", manifest.workflow)
    waiting = [concept for concept in manifest.concepts if not results.has(concept)]
    log.info("%d concepts, %d of them to be trained.", len(manifest.concepts), len(waiting))
    host_options = ("--cpu",) if options.cpu else ()
    place = Place(tree, options.python.absolute(), out / "comfyui", manifest.workflow, host_options)
    if waiting:
        prepare(place, waiting, (options.models or tree / "models").resolve(), options.pack)
        count = options.workers or (1 if options.cpu else None)
        with cluster(options.address, count if options.cpu else None):
            count = count or int(ray.cluster_resources().get("GPU", 0))
            if count < 1:
                raise SetupError("The cluster has no GPU. With --cpu concepts are trained without.")
            train_all(place, waiting, results, count, not options.cpu, options.attempts)
    log.info("%s\n%s", out / "results", results.summarize(manifest.concepts))
    return int(any(not results.has(concept) for concept in manifest.concepts))


if __name__ == "__main__":
    sys.exit(main())
