"""The editor of the real ComfyUI, worked by a real browser: what the tests of our workflows build on."""

import json
from pathlib import Path
from typing import Any

import pytest

from comfy_host.client import Client, HostError
from comfy_host.editor import Editor


def workflow(file: Path, *nodes: dict[str, Any], links: tuple[list[Any], ...] = ()) -> Path:
    """Write a workflow file in the UI's format; every node gets the fields that the page insists on."""
    common = {"pos": [50, 100], "size": [270, 250], "flags": {}, "order": 0, "mode": 0, "properties": {}}
    full = [{**common, "id": number, **node} for number, node in enumerate(nodes, start=1)]
    counts = {"last_node_id": len(nodes), "last_link_id": len(links)}
    file.write_text(json.dumps({**counts, "nodes": full, "links": links, "version": 0.4}))
    return file


@pytest.fixture
def two_pictures(tmp_path: Path) -> Path:
    """EmptyImage with a batch of two into PreviewImage."""
    output = {"name": "IMAGE", "type": "IMAGE", "links": [1]}
    return workflow(
        tmp_path / "two_pictures.json",
        {"type": "EmptyImage", "outputs": [output], "widgets_values": [64, 32, 2, 255]},
        {"type": "PreviewImage", "pos": [400, 100], "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
        links=([1, 1, 0, 2, 0, "IMAGE"],),
    )


def test_a_workflow_is_opened_and_run(editor: Editor, client: Client, two_pictures: Path, tmp_path: Path) -> None:
    editor.load(two_pictures)
    pictures = client.images(editor.run())
    assert [picture.shape for picture in pictures] == [(32, 64, 3)] * 2
    editor.screenshot(tmp_path / "screen.png")
    assert (tmp_path / "screen.png").stat().st_size > 10_000


def test_the_page_translates_a_workflow_for_the_host(editor: Editor, two_pictures: Path) -> None:
    editor.load(two_pictures)
    inputs = editor.api_prompt()["1"]["inputs"]
    assert inputs == {"width": 64, "height": 32, "batch_size": 2, "color": 255}


def test_a_missing_node_is_reported(editor: Editor, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"the page says: [\s\S]*NobodyHasThisNode"):
        editor.load(workflow(tmp_path / "missing.json", {"type": "NobodyHasThisNode"}))


def test_a_refused_prompt_is_reported(editor: Editor, tmp_path: Path) -> None:
    editor.load(workflow(tmp_path / "nothing_to_run.json", {"type": "EmptyImage"}))
    with pytest.raises(HostError, match="no outputs"):
        editor.run(timeout=20)
