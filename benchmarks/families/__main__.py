# ruff: noqa: T201
"""Checks every small family in a ComfyUI, notes what was found, and writes docs/families.md from all notes.

Run it in the repository's folder, once with each ComfyUI that the page is about; about five minutes on one core:
    python -m benchmarks.families --comfyui PATH --python FILE [FAMILY ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.families.checks import Cell, Concept, add_images, run_checks
from benchmarks.families.gradient import TOLERANCE
from benchmarks.families.notes import Found, Notes, keep_rows, read_notes, write_notes
from benchmarks.families.page import PAGE, page
from benchmarks.families.parts import loaders
from benchmarks.small_checkpoints import SMALL_FAMILIES, SMALL_SDXL, family_checkpoints
from comfy_host.client import Client
from comfy_host.environment import REPO, comfyui_tree, comfyui_version, given_interpreter
from comfy_host.process import host_variables, make_base, running_host


def gradients(tree: Path, python: Path, folder: Path, names: Sequence[str]) -> dict[str, Cell]:
    """The finite differences of each family, in one process of the host's Python."""
    lines = _lines(python, "gradient", str(folder), *names, "--comfyui", str(tree))
    return {line["family"]: _gradient_cell(line) for line in lines}


def refused(tree: Path, python: Path) -> dict[str, str | None]:
    """By family of the host, why it is refused."""
    return {line["family"]: line["reason"] for line in _lines(python, "others", "--comfyui", str(tree))}


def _lines(python: Path, module: str, *arguments: str) -> list[dict[str, Any]]:
    """What a module of this package writes as JSON, in a process of the host's Python."""
    command = [str(python), "-m", f"benchmarks.families.{module}", *arguments]
    result = subprocess.run(command, cwd=REPO, env=host_variables(), capture_output=True, text=True, errors="replace")
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def _gradient_cell(line: Mapping[str, Any]) -> Cell:
    if "error" in line:
        return Cell(False, line["error"])
    ratios = line["ratios"]
    said = ", ".join(f"{key} {ratio:.3f}" for key, ratio in ratios.items())
    return Cell(all(abs(ratio - 1) <= TOLERANCE for ratio in ratios.values()), said)


def check(tree: Path, python: Path, names: Sequence[str], base: Path) -> None:
    """Check these families in one run of the host, and note each as it is done."""
    version = comfyui_version(tree)
    make_base(base, packs=[SMALL_SDXL, SMALL_FAMILIES])
    checkpoints = base / "models" / "checkpoints"
    known = family_checkpoints(tree, python, checkpoints, *names, parts=base / "models")
    write_notes(version, Notes(refused=refused(tree, python)))
    slopes = gradients(tree, python, checkpoints, list(known))
    with running_host(tree, python, base) as host, Client(host) as client:
        add_images(client)
        for name, family in known.items():
            concept = Concept(
                f"{name}.safetensors",
                f"concept_{name}",
                family["initializer"],
                family["size"],
                loaders(name, family),
                is_apart=not family["with_vae"],
            )
            cells = dict(run_checks(client, concept, family["encoders"]))
            if cells["trains"].works:
                cells["gradient"] = slopes[name]
            write_notes(version, Notes({name: Found(family["title"], cells)}))
            print(name, {column: cell.works for column, cell in cells.items()}, flush=True)
    if not names:
        keep_rows(version, list(known))


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
