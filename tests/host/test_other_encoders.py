"""Families whose text encoders are not CLIP's alone, from images to prompts in a real host: whole, and in parts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from benchmarks.families.checks import Concept, add_images, embedding_file, keys_and_widths, run_checks
from benchmarks.families.parts import loaders
from benchmarks.small_checkpoints import family_checkpoints
from comfy_host.client import Client
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.process import Host

FAMILIES = ("flux", "lumina2")


@pytest.fixture(scope="module")
def families(host: Host) -> dict[str, dict]:
    """Small families in the host's folders, as checkpoints and in parts."""
    python = given_interpreter() or Path(sys.executable)
    models = host.base / "models"
    return family_checkpoints(comfyui_tree(), python, models / "checkpoints", *FAMILIES, parts=models)


def checked(client: Client, families, name: str):
    add_images(client)
    parts = loaders(name, families[name])
    concept = Concept(f"{name}.safetensors", f"of_{name}", size=families[name]["size"], parts=parts)
    return dict(run_checks(client, concept, families[name]["encoders"])), embedding_file(client, concept.name)


def test_clip_trains_beside_t5(client: Client, families):
    """T5 keeps the initializer, which the file has for it; the file says so."""
    cells, file = checked(client, families, "flux")
    assert all(cell.works for cell in cells.values()) and "in parts" in cells, cells
    assert keys_and_widths(file) == {"clip_l": 64, "t5xxl": 64}
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["dti.held"] == "t5xxl"


def test_gemma_reads_no_files(client: Client, families):
    """Typing the name does nothing; by way of our loader it is heard."""
    cells, file = checked(client, families, "lumina2")
    assert not cells.pop("prompt").works
    assert all(cell.works for cell in cells.values()), cells
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["dti.encoder"] == "gemma2_2b"
        assert opened.metadata()["dti.rows"] == "token table"
