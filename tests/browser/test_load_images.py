"""Load Concept Images in the page: images are uploaded or dropped, and a first Run is told what to do."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from comfy_host.client import Client, HostError
from comfy_host.editor import Editor

# A real drop in the middle of the node, of files given by name and content.
DROP = """files => {
    const data = new DataTransfer();
    for (const [name, content] of files)
        data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
    const node = app.graph._nodes.find(node => node.type === "DTI_LoadConceptImages");
    const [x, y] = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + 100, node.pos[1] + 20]);
    const box = app.canvas.canvas.getBoundingClientRect();
    const at = {clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true, dataTransfer: data};
    for (const kind of ["dragenter", "dragover", "drop"])
        app.canvas.canvas.dispatchEvent(new DragEvent(kind, at));
}"""
WIDGET = """name => app.graph._nodes.find(node => node.type === "DTI_LoadConceptImages")
    .widgets.find(widget => widget.name === name)"""


@pytest.fixture
def editor(editor: Editor, tmp_path: Path) -> Editor:
    """The page with the node alone."""
    place = {"pos": [300, 150], "size": [340, 480], "flags": {}, "order": 0, "mode": 0, "properties": {}}
    values = ["my_concept", "", False, "white"]
    node = {"id": 1, "type": "DTI_LoadConceptImages", "widgets_values": values, **place}
    file = tmp_path / "loader.json"
    file.write_text(json.dumps({"last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "version": 0.4}))
    editor.load(file)
    return editor


@pytest.fixture
def folder(client: Client) -> Path:
    """A folder in input that is not there yet."""
    path = client.host.base / "input" / "uploaded"
    shutil.rmtree(path, ignore_errors=True)
    return path


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def answer(editor: Editor, name: str) -> None:
    """Name the folder in the dialog that asks for it, and wait until the node has it."""
    dialog = editor.page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(name)
    dialog.get_by_role("button", name="Confirm").or_(dialog.get_by_role("button", name="Ok")).first.click()
    editor.page.wait_for_function(f"name => ({WIDGET})('folder').value === name", arg=name)


def has(editor: Editor, folder: Path, expected: dict[str, bytes]) -> None:
    """Whether the folder comes to have this; files arrive one by one."""
    found: dict[str, bytes] = {}
    for _ in range(100):
        found = {file.name: file.read_bytes() for file in folder.iterdir()}
        if found == expected:
            break
        editor.page.wait_for_timeout(100)
    assert found == expected


def drop(editor: Editor, **files: bytes) -> None:
    named = [[name.replace("_", "."), base64.b64encode(content).decode()] for name, content in files.items()]
    editor.page.evaluate(DROP, named)


def test_pictures_and_captions_are_dropped_into_a_new_folder(editor: Editor, folder: Path) -> None:
    drop(editor, a_png=png(1), b_png=png(2), b_txt=b"the {}", c_mp4=b"no picture")
    answer(editor, "uploaded")
    has(editor, folder, {"a.png": png(1), "b.png": png(2), "b.txt": b"the {}"})
    assert "uploaded" in editor.page.evaluate(f"() => ({WIDGET})('folder').options.values")
    assert editor.api_prompt()["1"]["inputs"] == {
        "folder": "uploaded",
        "placeholder": "",
        "subfolders": False,
        "background": "white",
    }

    # Another image of the same name is kept beside the first, and its caption goes with it; one alone is replaced.
    drop(editor, b_png=png(3), b_txt=b"a {}")
    expect(editor.page.get_by_role("dialog").get_by_role("textbox")).to_have_value("uploaded")
    answer(editor, "uploaded")
    first = {"a.png": png(1), "b.png": png(2), "b.txt": b"the {}"}
    has(editor, folder, {**first, "b (1).png": png(3), "b (1).txt": b"a {}"})
    drop(editor, b_txt=b"one {}")
    answer(editor, "uploaded")
    has(editor, folder, {**first, "b.txt": b"one {}", "b (1).png": png(3), "b (1).txt": b"a {}"})


def test_the_button_takes_several_pictures(editor: Editor, folder: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    with editor.page.expect_file_chooser() as chooser:
        # A browser opens it only after a click.
        editor.page.mouse.click(1000, 700)
        editor.page.evaluate(f"() => ({WIDGET})('upload images').callback()")
    assert chooser.value.is_multiple()
    chooser.value.set_files(sorted(tmp_path.glob("*.png")))
    answer(editor, "uploaded")
    has(editor, folder, {"1.png": png(1), "2.png": png(2)})


def test_a_first_run_says_on_the_node_where_pictures_go(editor: Editor) -> None:
    editor.page.evaluate(f"() => {{ ({WIDGET})('folder').value = 'not_there_yet'; }}")
    with pytest.raises(HostError, match="no folder 'not_there_yet' yet"):
        editor.run()
    said = editor.page.get_by_text("There is no folder 'not_there_yet' yet. Press 'upload images'")
    said.first.wait_for(state="attached", timeout=5000)
