"""All concepts of a manifest, on as many workers as there are GPUs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import ray

from comfy_host.environment import SetupError
from comfy_host.many_concepts.manifest import Concept
from comfy_host.many_concepts.results import Results
from comfy_host.many_concepts.worker import ConceptWorker, Place, Trained
from comfy_host.process import make_base
from comfy_host.ray_workers import Workers

log = logging.getLogger(__name__)
ENDS_WITH_WORKER = Path(__file__).parent / "ends_with_worker"


def prepare(place: Place, concepts: Sequence[Concept], models: Path, packs: Sequence[Path] = ()) -> None:
    """Make the base folder that all workers share, with the images of the concepts in it.

    models: a folder as ComfyUI's own, with checkpoints, loras and so on in it.
    """
    if not models.is_dir():
        raise SetupError(f"There is no folder {models}. Name with --models one that is as ComfyUI's models.")
    kinds = {folder.name: folder for folder in models.iterdir() if folder.is_dir()}
    make_base(place.base, [ENDS_WITH_WORKER, *packs], kinds)
    for concept in concepts:
        folder = place.base / "input" / concept.name
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(concept.images, folder)


def train_all(
    place: Place, concepts: Sequence[Concept], results: Results, workers: int, gpus: bool, attempts: int
) -> None:
    """Train them and keep what comes out as it comes. Call it within `cluster`, after `prepare`."""
    room = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 0))
    if workers > room:
        raise SetupError(f"{workers} workers were asked for, and the cluster has {room} {'GPUs' if gpus else 'CPUs'}.")
    with Workers(ConceptWorker, (place,), workers, int(gpus), attempts) as pool:
        for outcome in pool.outcomes(concepts):
            trained = outcome.result or Trained(problem=f"{outcome.error}".strip())
            results.keep(outcome.job, trained, outcome.attempts)
            log.info("%s: %s", outcome.job, trained.problem or f"trained in {trained.seconds:.0f} s")
