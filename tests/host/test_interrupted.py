"""Stop at any moment, and kill -9: the run that is queued again ends as if nothing had been. Few of each; see
benchmarks/interruptions for many."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.interruptions.count import counted
from benchmarks.interruptions.in_host import Runs
from benchmarks.small_host import add_images, make_small_host


def test_stops_and_a_kill(client, checkpoint, tmp_path: Path):
    other = make_small_host(tmp_path)
    stays = replace(other, base=client.host.base, checkpoint=checkpoint)
    add_images(stays.base)
    runs = Runs(stays, client, random.Random(1), batch_size=2)
    for count in (
        counted(2, runs.stopped, runs.left_alone),
        counted(1, partial(runs.killed, other=other), runs.left_alone),
    ):
        assert count.runs == count.equal > 0
    assert runs.images and all(runs.images)
