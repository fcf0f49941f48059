"""A manifest of concepts, and a workflow file as what is posted for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfy_host.environment import REPO
from comfy_host.many_concepts.manifest import read_manifest
from comfy_host.workflow import needed_graph


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two concepts from one folder."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").touch()
    (tmp_path / "empty").mkdir()
    file = tmp_path / "manifest.json"
    concepts = [{"name": name, "initializer": "cat", "images": "pictures"} for name in ("first", "second")]
    file.write_text(json.dumps({"settings": {"DTI_Train": {"steps": 9}}, "concepts": concepts}), encoding="utf-8")
    return file


def test_a_manifest_says_what_is_wrong_with_it(manifest: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    first, second = content["concepts"]
    for wrong, message in (
        ({**first, "name": "Second"}, "the name 'second' is taken"),
        ({**first, "images": "nowhere"}, "there is no folder .*nowhere"),
        ({**first, "images": "empty"}, "empty is empty"),
        ({**first, "name": "../first"}, "it may have letters"),
        ({**first, "steps": 3}, "has steps. It must have name, initializer, images, and may have settings"),
        ({**first, "settings": {"steps": 3}}, "by node type and input"),
    ):
        manifest.write_text(json.dumps({**content, "concepts": [wrong, second]}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_manifest(manifest)


def test_settings_of_a_concept_are_added_to_those_of_all(manifest: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["concepts"][0]["settings"] = {"DTI_Train": {"seed": 7}}
    manifest.write_text(json.dumps(content), encoding="utf-8")
    first, second = read_manifest(manifest).concepts
    assert first.settings == {"DTI_Train": {"steps": 9, "seed": 7}} and second.settings == {"DTI_Train": {"steps": 9}}


def test_what_a_workflow_cannot_say_without_its_page(client, tmp_path: Path) -> None:
    known = client.get("/object_info")
    workflow = json.loads((REPO / "workflows" / "train_concept.json").read_text(encoding="utf-8"))
    file = tmp_path / "workflow.json"
    (loader,) = (one for one in workflow["nodes"] if one["type"] == "DTI_LoadConceptImages")
    for change in ({"mode": 4}, {"type": "Reroute"}, {"widgets_values": ["folder"]}, {"widgets_values": ["f"] * 5}):
        nodes = [one if one is not loader else {**loader, **change} for one in workflow["nodes"]]
        file.write_text(json.dumps({**workflow, "nodes": nodes}), encoding="utf-8")
        with pytest.raises(ValueError, match=r"Node 3 .*Save the workflow with Export \(API\)"):
            needed_graph(file, "DTI_Train", known)
    for content, message in (
        ([], "is not a workflow"),
        ({"1": {}}, "is not a workflow"),
        ({}, "has 0 nodes DTI_Train"),
    ):
        file.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            needed_graph(file, "DTI_Train", known)
    graph = needed_graph(REPO / "workflows" / "train_concept.json", "DTI_Train", known)
    file.write_text(json.dumps(graph), encoding="utf-8")
    assert needed_graph(file, "DTI_Train", known) == graph and len(graph) == 3
