"""Families other than SDXL from images to prompts: each column of docs/families.md on a small checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.families.checks import (
    Concept,
    add_images,
    embedding_file,
    keys_and_widths,
    prompt_graph,
    run_checks,
    train_graph,
)
from benchmarks.small_checkpoints import family_checkpoints
from comfy_host.client import Client, HostError
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.graphs import node, text_to_image
from comfy_host.process import Host
from dti_core.files.embedding_file import load_embedding

FAMILIES = ("sd15", "sd2", "sd2_v")
REFUSED = "lotus"


@pytest.fixture(scope="module")
def families(host: Host) -> dict[str, dict]:
    """Checkpoints of small families in the host's folder."""
    python = given_interpreter() or Path(sys.executable)
    return family_checkpoints(comfyui_tree(), python, host.base / "models" / "checkpoints", *FAMILIES, REFUSED)


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
    client.run(train_graph(Concept("sd15.safetensors", "at_512"), resolution=0, steps=1, batch_size=1))
    assert load_embedding(embedding_file(client, "at_512")).metadata["dti.resolution"] == "512"


def test_previews_on_another_family(client: Client, families):
    add_images(client)
    graph = train_graph(Concept("sd2_v.safetensors", "seen"), steps=1, preview_every=1)
    graph["picture"] = node("SaveImage", images=["train", 4], filename_prefix="seen")
    (picture,) = client.images(client.run(graph), "picture")
    assert picture.std() > 0


def test_a_file_of_another_family_is_refused_by_name(client: Client, families):
    """A stock prompt leaves it out instead, and says so in the log alone."""
    for name, key, width in (("of_sdxl", "clip_g", 1280), ("of_sd2", "emb_params", 1024)):
        save_file({key: torch.ones(1, width)}, embedding_file(client, name))
        concept = Concept("sd15.safetensors", name)
        with pytest.raises(HostError, match=rf"{name}.*is for .*{width}.*but this model .*needs clip_l 64") as caught:
            client.run(prompt_graph(concept))
        assert caught.value.node_id == "load"
    typed = text_to_image("sd15.safetensors", "a photo of a embedding:of_sd2 now", steps=1)
    assert client.images(client.run(typed), "picture")[0].std() > 0
    assert "shape mismatch" in client.host.log_tail(200)


def test_another_family_is_refused_before_anything_is_done(client: Client, families):
    add_images(client)
    before = sorted((client.host.base / "models" / "embeddings").iterdir())
    with pytest.raises(HostError, match=r"cannot train on LotusD: its sampling is .*IMG_TO_IMG") as caught:
        client.run(train_graph(Concept(f"{REFUSED}.safetensors", "refused")))
    assert caught.value.node_id == "train"
    assert sorted((client.host.base / "models" / "embeddings").iterdir()) == before
