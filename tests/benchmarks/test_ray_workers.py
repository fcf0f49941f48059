"""Jobs on workers of Ray: what becomes of those whose worker is lost, cannot be started, or has no room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from comfy_host.ray_workers import WorkerLostError, Workers, cluster


class Scribe:
    """Notes its jobs; some words are orders."""

    def __init__(self, folder: Path, startable: bool = True) -> None:
        self._folder, self._startable = folder, startable

    def start(self) -> None:
        if not self._startable:
            raise ValueError("no pen")

    def do(self, job: str) -> str:
        first = not (self._folder / job).exists()
        with (self._folder / job).open("a", encoding="utf-8") as notes:
            notes.write("x")
        if job == "dies once" and first:
            os._exit(1)
        if job == "loses":
            raise WorkerLostError("the pen is broken\nin two")
        if job == "wrong":
            raise KeyError("what is wrong with a job ends all")
        return job.upper()


@pytest.fixture(scope="module", autouse=True)
def two_cpus() -> Iterator[None]:
    """A cluster with room for two workers."""
    with cluster(count=2):
        yield


def test_a_lost_job_is_tried_again_by_others_up_to_a_number(tmp_path: Path) -> None:
    jobs = ["a", "dies once", "loses", "b"]
    # The third never finds room, and holds up none of them.
    with Workers(Scribe, (tmp_path,), 3, attempts=2) as workers:
        outcomes = {outcome.job: outcome for outcome in workers.outcomes(jobs)}
        assert [outcomes[job].attempts for job in jobs] == [1, 2, 2, 1]
        assert [outcomes[job].result for job in jobs] == ["A", "DIES ONCE", None, "B"]
        assert str(outcomes["loses"].error) == "the pen is broken\nin two"
        assert [len((tmp_path / job).read_text()) for job in jobs] == [1, 2, 2, 1]
        # The same workers take more.
        assert [outcome.result for outcome in workers.outcomes(["c"])] == ["C"]


def test_no_job_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    with Workers(Scribe, (tmp_path,), 1) as workers:
        begun = [outcome.job for outcome in workers.outcomes(["a", "b"], lambda: not (tmp_path / "a").exists())]
    assert begun == ["a"] and not (tmp_path / "b").exists()


def test_what_is_wrong_with_all_ends_it(tmp_path: Path) -> None:
    with Workers(Scribe, (tmp_path, False), 1) as workers, pytest.raises(ValueError, match="no pen"):
        list(workers.outcomes(["a"]))
    with Workers(Scribe, (tmp_path,), 1) as workers, pytest.raises(KeyError, match="ends all"):
        list(workers.outcomes(["wrong"]))
