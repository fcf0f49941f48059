# ruff: noqa: T201
"""Checks every small family in a ComfyUI, notes what was found, and writes docs/families.md from all notes.

    python -m benchmarks.families --comfyui PATH [FAMILY ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.families.checks import Cell, Concept, add_images, run_checks
from benchmarks.families.gradient import TOLERANCE
from benchmarks.families.notes import Found, read_notes, write_notes
from benchmarks.families.page import PAGE, page
from benchmarks.small_checkpoints import SMALL_FAMILIES, SMALL_SDXL, family_checkpoints
from comfy_host.client import Client
from comfy_host.environment import REPO, comfyui_tree, comfyui_version, given_interpreter
from comfy_host.process import host_variables, make_base, running_host


def gradients(tree: Path, python: Path, folder: Path, names: Sequence[str]) -> dict[str, Cell]:
    """The finite differences of each family, in one process of the host's Python."""
    command = [str(python), "-m", "benchmarks.families.gradient", str(folder), *names, "--comfyui", str(tree)]
    result = subprocess.run(command, cwd=REPO, env=host_variables(), capture_output=True, text=True, errors="replace")
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode != 0:
        raise SystemExit(f"The gradients failed:\n{result.stderr}")
    return {line["family"]: _gradient_cell(line) for line in lines}


def _gradient_cell(line: dict[str, object]) -> Cell:
    if "error" in line:
        return Cell(False, str(line["error"]))
    ratios = line["ratios"]
    assert isinstance(ratios, dict)
    said = ", ".join(f"{key} {ratio:.3f}" for key, ratio in ratios.items())
    return Cell(all(abs(ratio - 1) <= TOLERANCE for ratio in ratios.values()), said)


def check(tree: Path, python: Path, names: Sequence[str], base: Path) -> None:
    """Check these families in one run of the host, and note each as it is done."""
    version = comfyui_version(tree)
    make_base(base, packs=[SMALL_SDXL, SMALL_FAMILIES])
    checkpoints = base / "models" / "checkpoints"
    known = family_checkpoints(tree, python, checkpoints, *names)
    slopes = gradients(tree, python, checkpoints, list(known))
    with running_host(tree, python, base) as host, Client(host) as client:
        add_images(client)
        for name, family in known.items():
            concept = Concept(f"{name}.safetensors", f"concept_{name}", family["initializer"])
            cells = dict(run_checks(client, concept, family["encoders"]))
            if cells["trains"].works:
                cells["gradient"] = slopes[name]
            write_notes(version, {name: Found(family["title"], cells)})
            print(name, {column: cell.works for column, cell in cells.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help="of benchmarks/small_families; all where none is named")
    parser.add_argument("--comfyui", metavar="PATH", help="a ComfyUI folder; else DTI_COMFYUI")
    parser.add_argument("--python", metavar="FILE", help="an interpreter that has ComfyUI's packages; else DTI_PYTHON")
    parser.add_argument("--page-only", action="store_true", help="write the page from what was found before")
    options = parser.parse_args()
    if not options.page_only:
        python = given_interpreter(options.python) or Path(sys.executable)
        with tempfile.TemporaryDirectory() as base:
            check(comfyui_tree(options.comfyui), python, options.families, Path(base))
    PAGE.write_text(page(read_notes()), encoding="utf-8")
    print(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()
