"""Two subjects of the tables, from the repository's weights to the report: that it runs, not who wins."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from paper_tables.store import digest_of_file
from PIL import Image
from small_world.checkpoint import COMPACT

from benchmarks.small_checkpoints import BENCHMARKS
from comfy_host.environment import comfyui_tree


def test_a_cut_runs_whole(tmp_path):
    """Two subjects and a few steps through every method, table and picture: that it runs, not who wins."""
    workers = "2" if find_spec("ray") else "1"
    command = [sys.executable, "-W", "ignore", "-m", "paper_tables.run", str(tmp_path), "--cut", "--workers", workers]
    environment = {**os.environ, "DTI_COMFYUI": str(comfyui_tree()), "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=300)
    assert first.returncode == 0, first.stderr[-3000:]
    assert "All done." in first.stderr
    (report,) = tmp_path.rglob("report.md")
    text = report.read_text(encoding="utf-8")
    done = re.findall(r"\| (\d+)/(\d+) \|", text)
    assert len(done) > 30 and all(count == wanted for count, wanted in done)
    # A world is known by what the repository holds of it: what is assembled differs a little between machines.
    assert report.parents[1].name == f"world_{digest_of_file(COMPACT)}"
    for name in ("front.png", "text_by_norm.png", "norms.png", "figure4.png"):
        picture = np.asarray(Image.open(report.parent / name).convert("RGB")).astype(int)
        # Axes are gray; what is drawn on them has colour.
        assert (np.ptp(picture, axis=-1) > 40).mean() > 0.001, name
    scores = sorted((report.parent / "scores").iterdir())
    assert {len(json.loads(file.read_text(encoding="utf-8"))["image"]) for file in scores} == {3}
    # Stopped in the middle, it goes on: only what is missing is done again.
    scores[0].unlink()
    stamps = {file: file.stat().st_mtime_ns for file in scores[1:]}
    again = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("examined") == 1
    assert {file: Path(file).stat().st_mtime_ns for file in scores[1:]} == stamps
