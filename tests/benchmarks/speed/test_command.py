"""The benchmark's command runs; how fast anything is, a test cannot say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comfy_host.environment import REPO, comfyui_tree, given_interpreter
from comfy_host.process import host_variables

ROWS = {
    "step": ("DTI Train, 1 at a time", "network alone", "diffusers' loop", "the host's Train LoRA, 4 at a time"),
    "growth": ("400 images / 4", "last quarter of 50 steps / first"),
    "start": ("open the session", "second step"),
    "plans": ("keep all, 4 at a time", "recompute all blocks, 1 at a time"),
}


@pytest.fixture(scope="module")
def printed() -> str:
    python = given_interpreter() or Path(sys.executable)
    command = [str(python), "-m", "benchmarks.speed", "--comfyui", str(comfyui_tree()), "--rounds", "1", "--steps", "1"]
    result = subprocess.run([*command, *ROWS], cwd=REPO, env=host_variables(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("part", ROWS)
def test_each_part_prints_its_table(printed, part):
    for row in ROWS[part]:
        assert f"| {row}" in printed
