"""Jobs on several workers, each an actor of Ray; a job whose worker is lost goes to another."""

from __future__ import annotations

import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayActorError

log = logging.getLogger(__name__)

J = TypeVar("J")
# Of workers that could not be started, one after the other, before that is taken for the rule.
FAILED_STARTS = 3
# For results on their way; Ray would take a third of the memory.
STORE_BYTES = 2**28


class WorkerLostError(Exception):
    """What a worker works with is gone, and with a new one the same job may do. Raised in `do`."""


@dataclass(frozen=True)
class Outcome(Generic[J]):
    """A job that is done with: its result, or the error that the last of its attempts was lost by."""

    job: J
    attempts: int
    result: Any = None
    error: Exception | None = None


@contextmanager
def cluster(address: str | None = None, count: int | None = None) -> Iterator[None]:
    """The cluster at `address`, or one of `count` CPUs on this machine, for as long as it is needed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
    os.environ.setdefault("RAY_worker_niceness", "0")  # else workers wait for whatever else runs
    own: dict[str, Any] = {}
    if address is None:
        # What Ray makes itself it puts into the home folder.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        own = {"num_cpus": count, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    ray.init(address, logging_level=logging.WARNING, **own)
    try:
        yield
    finally:
        ray.shutdown()


class Workers:
    """So many workers, kept from one lot of jobs to the next. Use as a context, within `cluster`.

    kind, arguments: the class of the actors, and what it is made of. `start()` makes one ready, `do(job)` does a job.
        What `do` raises ends the whole, but for WorkerLostError.
    gpus: that each worker has for itself.
    attempts: how often a job is tried whose worker is lost.
    """

    def __init__(self, kind: type, arguments: tuple[Any, ...], count: int, gpus: int = 0, attempts: int = 3) -> None:
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus)(kind)
        self._arguments, self._count, self._attempts = arguments, count, attempts
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}  # by what Ray gives for the call
        self._failed_starts = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in [*self._idle, *self._starting.values()]:
            ray.kill(worker)

    def outcomes(self, jobs: Iterable[J], in_time: Callable[[], bool] = lambda: True) -> Iterator[Outcome[J]]:
        """Do the jobs, each as a worker is free, in any order; none is begun when the time is up."""
        waiting = deque((job, 1) for job in jobs)
        running: dict[Any, tuple[Any, J, int]] = {}
        while (more := bool(waiting) and in_time()) or running:
            if more:
                self._start_missing(len(waiting) + len(running), len(running))
                while waiting and self._idle:
                    worker, (job, attempt) = self._idle.pop(), waiting.popleft()
                    running[worker.do.remote(job)] = worker, job, attempt
            (done,), _ = ray.wait([*running, *self._starting])
            if done in self._starting:
                self._take(done)
                continue
            worker, job, attempt = running.pop(done)
            try:
                result = ray.get(done)
            except (RayActorError, WorkerLostError) as error:
                ray.kill(worker)
                lost = getattr(error, "cause", error)  # without the worker's own traceback
                log.warning("%s: attempt %d of %d: %s", job, attempt, self._attempts, str(lost).partition("\n")[0])
                if attempt < self._attempts:
                    waiting.appendleft((job, attempt + 1))
                else:
                    yield Outcome(job, attempt, error=lost)
            else:
                self._idle.append(worker)
                yield Outcome(job, attempt, result)

    def _start_missing(self, jobs: int, running: int) -> None:
        """No job waits for a certain worker: the cluster may have no room for it."""
        missing = min(self._count, jobs) - running - len(self._idle) - len(self._starting)
        for _ in range(missing):
            worker = self._actor.remote(*self._arguments)
            self._starting[worker.start.remote()] = worker

    def _take(self, started: Any) -> None:
        """A worker that is ready, or could not be made so."""
        worker = self._starting.pop(started)
        try:
            ray.get(started)
        except Exception:
            ray.kill(worker)
            self._failed_starts += 1
            if self._failed_starts == FAILED_STARTS:
                raise
            log.warning("A worker did not start; another is tried.", exc_info=True)
        else:
            self._failed_starts = 0
            self._idle.append(worker)
