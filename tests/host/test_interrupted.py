"""Stop at any moment, and kill -9: the run that is queued again ends as if nothing had been. Few of each; see
benchmarks/interruptions for many."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

from benchmarks.interruptions.count import counted
from benchmarks.interruptions.in_host import Runs, make_small_base
from comfy_host.environment import comfyui_tree, given_interpreter


def test_stops_and_a_kill(client, checkpoint, small_world_file: Path, tmp_path: Path):
    make_small_base(tmp_path, small_world_file)
    runs = Runs(client, checkpoint, random.Random(1), batch_size=2)
    python = given_interpreter() or Path(sys.executable)
    killed = partial(runs.killed, tree=comfyui_tree(), python=python, base=tmp_path)
    for count in (counted(2, runs.stopped, runs.left_alone), counted(1, killed, runs.left_alone)):
        assert count.runs == count.equal > 0
    assert runs.images and all(runs.images)
