"""Families other than SDXL from images to prompts: each column of docs/families.md on a small checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.families.checks import Concept, add_images, embedding_file, keys_and_widths, run_checks, train_graph
from benchmarks.small_checkpoints import family_checkpoints
from comfy_host.client import Client
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.process import Host
from dti_core.files.embedding_file import load_embedding

FAMILIES = ("sd15", "sd2", "sd2_v")


@pytest.fixture(scope="module")
def families(host: Host) -> dict[str, dict]:
    """Checkpoints of small families in the host's folder."""
    python = given_interpreter() or Path(sys.executable)
    return family_checkpoints(comfyui_tree(), python, host.base / "models" / "checkpoints", *FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_family(client: Client, families, name):
    add_images(client)
    concept = Concept(f"{name}.safetensors", f"of_{name}")
    cells = dict(run_checks(client, concept, families[name]["encoders"]))
    assert all(cell.works for cell in cells.values()), cells
    assert list(keys_and_widths(embedding_file(client, concept.name))) == ["emb_params"]
    embedding = load_embedding(embedding_file(client, concept.name))
    assert list(embedding.vectors) == families[name]["encoders"]
    expected = {"sd15": "epsilon", "sd2": "epsilon", "sd2_v": "v"}[name]
    assert embedding.metadata["modelspec.prediction_type"] == expected


def test_resolution_by_itself_is_what_the_model_was_trained_at(client: Client, families):
    add_images(client)
    said = train_graph(Concept("sd15.safetensors", "at_512"), resolution=0, steps=1, batch_size=1)
    client.run(said)
    assert load_embedding(embedding_file(client, "at_512")).metadata["dti.resolution"] == "512"
