"""Whether a background leaks into prompts: what is trained on and asked for, and that a cut of it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from paper_tables.mask_leakage import ARMS, CHOOSING, mask_of, prompts_of, scenes_before, shared_background
from paper_tables.plan import Examination
from small_world.drawing import draw

from benchmarks.small_checkpoints import BENCHMARKS
from comfy_host.environment import comfyui_tree


@pytest.mark.parametrize("subject", CHOOSING, ids=lambda subject: subject.name)
def test_a_mask_is_the_subject_and_nothing_else(subject):
    """What a mask leaves in is the same before any background, what it leaves out is the background's alone."""
    for scene in scenes_before(subject, shared_background(subject)):
        mask = mask_of(scene)
        view, bare = draw(scene).astype(int), draw(replace(scene, background="white")).astype(int)
        assert 0.05 < mask.mean() < 0.5
        assert abs(view - bare)[mask > 0.99].max() <= 2
        nothing = draw(replace(scene, thing=replace(scene.thing, colour="pink", second="pink"), background="white"))
        outside = mask < 0.01
        assert (nothing[outside] == bare[outside]).all()


def test_prompts_never_ask_for_the_background_that_was_trained_on():
    for subject in CHOOSING:
        background = shared_background(subject)
        prompts = prompts_of(subject, background, Examination())
        asked = ["background" in prompt.wanted for prompt in prompts]
        assert min(asked.count(True), asked.count(False)) >= 10
        assert all(prompt.scene.background != background for prompt in prompts)


def test_a_cut_runs_whole(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "paper_tables.mask_leakage", str(tmp_path), "--cut"]
    environment = {**os.environ, "DTI_COMFYUI": str(comfyui_tree()), "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=300)
    assert first.returncode == 0, first.stderr[-3000:]
    (report,) = tmp_path.rglob("mask_leakage.md")
    rows = [line.split(" | ") for line in report.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][2:]
    assert [row[0].removeprefix("| ") for row in rows][:4] == ["class word", *ARMS]
    for row in rows[:4]:
        assert all(0 <= float(cell.removesuffix(" |").split(" ")[0]) <= 1 for cell in row[1:])
    # What is there is not made again.
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    again = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "seed 1:" not in again.stderr
    assert {file: file.stat().st_mtime_ns for file in files} == files
