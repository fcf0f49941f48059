"""Concepts of a manifest on a cluster of two workers, of which one loses its ComfyUI half way and one is killed."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.torch import load_file

from benchmarks.small_checkpoints import SMALL_SDXL
from comfy_host.environment import comfyui_tree, given_interpreter

pytest.importorskip("ray")

from comfy_host.many_concepts.__main__ import run
from comfy_host.many_concepts.manifest import read_manifest
from comfy_host.many_concepts.results import Results
from comfy_host.many_concepts.worker import Trained

QUICK = {"steps": 60, "batch_size": 1, "resolution": 64, "save_every": 0, "preview_every": 0}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three concepts that are one but for their names, and two that are refused: a word, and an input of no node."""
    (tmp_path / "noise").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / "noise" / f"{number}.png")
    file = tmp_path / "manifest.json"
    concepts = [{"name": name, "initializer": "cat", "images": "noise"} for name in ("first", "second", "third")]
    concepts.append({"name": "refused", "initializer": "(cat)", "images": "noise"})
    wrong = {"DTI_Train": {"stepz": 1}}
    concepts.append({"name": "misspelt", "initializer": "cat", "images": "noise", "settings": wrong})
    file.write_text(json.dumps({"settings": {"DTI_Train": QUICK}, "concepts": concepts}), encoding="utf-8")
    return file


def test_what_is_done_is_what_is_there_and_was_trained_from_the_same(manifest: Path, tmp_path: Path) -> None:
    first, second, *_ = (found := read_manifest(manifest)).concepts
    results = Results(tmp_path / "results", found.workflow)
    results.keep(first, Trained("report", b"embedding", b"picture"), 1)
    results.keep(second, Trained(problem="refused"), 1)
    assert results.has(first) and not results.has(second)
    (tmp_path / "results" / "first.safetensors").unlink()
    assert not results.has(first)
    results.keep(first, Trained("report", b"embedding", b"picture"), 1)
    (first.images / "0.txt").write_text("a {} at night", encoding="utf-8")
    assert not results.has(first)


def test_lost_workers_cost_no_result_and_no_bit(manifest: Path, tmp_path: Path, small_world_file: Path) -> None:
    models, out = tmp_path / "models", tmp_path / "out"
    (models / "checkpoints").mkdir(parents=True)
    # The name that the workflow has.
    (models / "checkpoints" / "sd_xl_base_1.0.safetensors").write_bytes(small_world_file.read_bytes())
    options = argparse.Namespace(
        manifest=manifest, out=out, comfyui=comfyui_tree(), python=given_interpreter() or Path(sys.executable),
        models=models, pack=[SMALL_SDXL], workers=2, cpu=True, address=None, attempts=3,
    )  # fmt: skip
    kills = {"first": comfyui_of, "second": lambda worker: worker}
    over = threading.Event()
    with ThreadPoolExecutor() as killers:
        done = [killers.submit(kill_half_way, out / "comfyui", over, *kill) for kill in kills.items()]
        try:
            assert run(options) == 1
        finally:
            over.set()
    assert [kill.result() for kill in done] == [None, None]
    results = {file.stem: json.loads(file.read_text()) for file in (out / "results").glob("*.json")}
    names = ("first", "second", "third", "refused", "misspelt")
    assert [results[name]["attempts"] for name in names] == [2, 2, 1, 1, 1]
    # ComfyUI itself would train by the default.
    assert results["misspelt"]["problem"].startswith("DTI_Train has no input stepz; it has ")
    assert "'(cat)'" in results["refused"]["problem"] and len(results["refused"]["problem"].splitlines()) == 1
    rows = {name: load_file(out / "results" / f"{name}.safetensors") for name in ("first", "second", "third")}
    for name in ("first", "second"):
        assert "resumed at step" in (out / "results" / f"{name}.txt").read_text(encoding="utf-8")
        assert all((rows[name][key] == row).all() for key, row in rows["third"].items())
    assert "resumed" not in (out / "results" / "third.txt").read_text(encoding="utf-8")
    with Image.open(out / "results" / "first.png") as picture:
        assert picture.size > (64, 64)
    table = (out / "results" / "summary.md").read_text(encoding="utf-8")
    assert table.count(".safetensors") == 3 and results["refused"]["problem"] in table
    # Nobody is left who trains on.
    until = time.monotonic() + 60
    while any(str(out) in " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < until
        time.sleep(0.2)


def kill_half_way(
    base: Path, over: threading.Event, concept: str, what: Callable[[psutil.Process], psutil.Process]
) -> None:
    """Kill what trains a concept, when some steps of it are kept."""
    states = base / "output" / "dti_states" / concept
    while not any(int(file.stem.removeprefix("step-")) > 5 for file in states.rglob("step-*.safetensors")):
        assert not over.wait(0.02)
    (folder,) = (file.parent for file in base.glob("workers/*/concept.txt") if file.read_text() == concept)
    what(psutil.Process(int(folder.name.rpartition("-")[2]))).kill()


def comfyui_of(worker: psutil.Process) -> psutil.Process:
    (host,) = (child for child in worker.children() if "main.py" in " ".join(child.cmdline()))
    return host
