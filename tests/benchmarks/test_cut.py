"""Two subjects of the paper's tables, from the repository's weights to the report: whether it runs, not who wins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.process import BENCHMARKS

MINUTES = 3


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory):
    """Runs the cut as a person does; a second call finds what the first one left."""
    out = tmp_path_factory.mktemp("tables")

    def run(*options: str) -> tuple[str, Path]:
        python = given_interpreter() or Path(sys.executable)
        command = [str(python), "-m", "paper_tables.run", str(out), "--cut", "--comfyui", str(comfyui_tree()), *options]
        done = subprocess.run(
            command, cwd=BENCHMARKS, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=60 * MINUTES,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout, next(out.glob("world_*/judge_*"))

    return run


def test_the_cut_runs_from_weights_to_report_and_goes_on_where_it_was(tables) -> None:
    said, folder = tables("--workers", "2")
    assert "All done." in said
    report = (folder / "report.md").read_text(encoding="utf-8")
    for name in ("TI", "TI-rescaled", "CrossInit", "AdamW on the sphere", "DTI", "DTI improved"):
        assert f"| {name} |" in report
    assert "nan" not in report
    assert {"front.png", "norms.png", "figure4.png"} <= {file.name for file in folder.iterdir()}

    scores = {file: file.stat().st_mtime_ns for file in (folder / "scores").iterdir()}
    lost = min(scores)
    lost.unlink()
    tables()
    after = {file: file.stat().st_mtime_ns for file in (folder / "scores").iterdir()}
    assert after.keys() == scores.keys()
    assert {file for file in scores if after[file] != scores[file]} == {lost}
