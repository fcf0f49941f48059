"""Jobs on several cores: a worker of Ray on each, with one thread and a world of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_world import checkpoint as small_world_checkpoint
from small_world import judge as small_world_judge
from small_world.comfyui import start_log, use_comfyui

from .job import Job, do, unscored
from .store import Store, digest_of_file
from .world import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where things lie: ComfyUI, the checkpoint, the judge, the results."""

    comfyui: Path
    checkpoint: Path
    judge: Path
    results: Path


def places_in(
    out: Path, comfyui: Path | None, checkpoint: Path | None = None, judge: Path = small_world_judge.FILE
) -> Places:
    """Makes ComfyUI importable, starts the log, and assembles the repository's world in `out` where no checkpoint is
    given."""
    out, tree, source = out.resolve(), use_comfyui(comfyui), checkpoint or small_world_checkpoint.COMPACT
    start_quiet_log()
    # The compact file names our own world: rows that it leaves out differ in their last bit from machine to machine.
    world = digest_of_file(source)
    file = checkpoint or out / "checkpoints" / f"small_world_{world}.safetensors"
    if not file.is_file():
        small_world_checkpoint.assemble(file, source)
    return Places(tree, file.resolve(), judge.resolve(), out / f"world_{world}" / f"judge_{digest_of_file(judge)}")


def load_world(places: Places) -> World:
    """ComfyUI made importable and the checkpoint loaded, on one thread: two would wait for each other."""
    import torch

    use_comfyui(places.comfyui)
    torch.set_num_threads(1)
    world = World(places.checkpoint, places.judge, places.results / "calibration.json")
    start_quiet_log()
    return world


def start_quiet_log() -> None:
    """The log of this experiment; of what the host says for every picture, warnings only."""
    start_log()
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.name != "root" or record.levelno >= logging.WARNING)


class Workers:
    """Do jobs until the time is up. One worker works in this process. Use as a context."""

    def __init__(self, places: Places, count: int, deadline: float | None) -> None:
        self._places, self._count, self._deadline = places, count, deadline
        self._store = Store(places.results)
        self._world: World | None = None
        self._open = ExitStack()
        self._others: Any = None  # of comfy_host.ray_workers: one worker needs no Ray

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def world(self) -> World:
        """This process's own world, loaded when it is first asked for."""
        if self._world is None:
            self._world = load_world(self._places)
        return self._world

    def in_time(self) -> bool:
        return self._deadline is None or time.monotonic() < self._deadline

    def finish(self, jobs: Sequence[Job]) -> bool:
        """Do what is not done yet; True when nothing is left."""
        waiting = [job for job in jobs if unscored(job, self._store)]
        total = len(waiting)
        if self._count == 1:
            while waiting and self.in_time():
                log.info("%s", do(waiting.pop(0), self.world, self._store))
        elif waiting:
            self._on_others(waiting)
        if waiting:
            log.info("Out of time, %d of %d left.", len(waiting), total)
        return not waiting

    def _on_others(self, waiting: list[Job]) -> None:
        """Takes out of `waiting` what is done."""
        from comfy_host.ray_workers import Workers, cluster

        if self._others is None:
            self._open.enter_context(cluster(count=self._count))
            self._others = self._open.enter_context(Workers(JobWorker, (self._places,), self._count))
        for outcome in self._others.outcomes(list(waiting), self.in_time):
            if outcome.error is not None:
                raise outcome.error
            log.info("%s", outcome.result)
            waiting.remove(outcome.job)


class JobWorker:
    """Made an actor of Ray."""

    def __init__(self, places: Places) -> None:
        self._places, self._store = places, Store(places.results)

    def start(self) -> None:
        self._world = load_world(self._places)

    def do(self, job: Job) -> str:
        return do(job, self._world, self._store)
