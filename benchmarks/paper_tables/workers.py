"""Jobs on several cores: a process each, with one thread and a world of its own."""

from __future__ import annotations

import concurrent.futures as futures
import logging
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from small_world.comfyui import start_log, use_comfyui

from .job import Job, do, unscored
from .store import Store
from .world import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where things lie: ComfyUI, the checkpoint, the judge, the results."""

    comfyui: Path
    checkpoint: Path
    judge: Path
    results: Path


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
        self._pool: futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

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
                do(waiting.pop(0), self.world, self._store)
        elif waiting:
            self._in_processes(waiting)
        if waiting:
            log.info("Out of time, %d of %d left.", len(waiting), total)
        return not waiting

    def _in_processes(self, waiting: list[Job]) -> None:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = futures.ProcessPoolExecutor(self._count, context, _start, (self._places,))
        running: set[futures.Future[None]] = set()
        while running or (waiting and self.in_time()):
            while waiting and len(running) < self._count and self.in_time():
                running.add(self._pool.submit(_do, waiting.pop(0)))
            done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in done:
                future.result()


_own: tuple[World, Store] | None = None


def _start(places: Places) -> None:
    global _own
    _own = load_world(places), Store(places.results)


def _do(job: Job) -> None:
    if _own is None:
        raise RuntimeError("the worker has not been started")
    do(job, *_own)
