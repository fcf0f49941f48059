"""The shipped workflows, opened and run in the page as a user does: pick the files, press Run, see pictures."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data

from comfy_host.client import Client
from comfy_host.editor import Editor
from comfy_host.environment import REPO

WORKFLOWS = REPO / "workflows"


def choose(editor: Editor, node_type: str, **widgets: Any) -> None:
    """Set widgets of the nodes of one type, as a user would by hand; each has to exist and to offer the value."""
    editor.page.evaluate(
        """([type, values]) => {
            for (const node of app.graph._nodes.filter(node => node.type === type))
                for (const [name, value] of Object.entries(values)) {
                    const widget = node.widgets.find(widget => widget.name === name);
                    const offered = widget.options.values;
                    if (Array.isArray(offered) && !offered.includes(value)) throw Error(`${name} lacks ${value}`);
                    widget.value = value;
                }
        }""",
        [node_type, widgets],
    )


@pytest.fixture
def files(client: Client) -> None:
    """What a user has: a folder of photographs and a word that was learned before."""
    for name in ("chelsea", "coffee", "rocket"):
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(file, "PNG")
        client.add_input(f"my_concept/{name}.png", file.getvalue())
    generator = torch.Generator().manual_seed(0)
    path = client.host.base / "models" / "embeddings" / "learned_before.safetensors"
    tensors = {"clip_l": torch.randn((1, 64), generator=generator), "clip_g": torch.randn((1, 96), generator=generator)}
    save_file({key: 0.4 * torch.nn.functional.normalize(rows) for key, rows in tensors.items()}, path)


@pytest.fixture
def editor(files: None, editor: Editor) -> Editor:
    """The page, opened after the files are there."""
    return editor


def make_small(editor: Editor, checkpoint: str) -> None:
    choose(editor, "CheckpointLoaderSimple", ckpt_name=checkpoint)
    choose(editor, "EmptyLatentImage", width=128, height=128)
    choose(editor, "KSampler", steps=3)


def test_train_concept(editor, client, checkpoint):
    editor.load(WORKFLOWS / "train_concept.json")
    make_small(editor, checkpoint)
    choose(editor, "LoadImageDataSetFromFolder", folder="my_concept")
    choose(editor, "DTI_Train", name="browser", initializer="cat", steps=5, resolution=128)
    run = editor.run()
    pictures = client.images(run)
    assert [picture.shape for picture in pictures].count((128, 128, 3)) == 2
    assert len(pictures) == 3  # and the loss graph
    assert (client.host.base / "models" / "embeddings" / "browser.safetensors").is_file()


def test_train_concept_is_shipped_with_the_recipe(editor):
    editor.load(WORKFLOWS / "train_concept.json")
    (train,) = (node for node in editor.api_prompt().values() if node["class_type"] == "DTI_Train")
    settings = {name: value for name, value in train["inputs"].items() if not isinstance(value, list)}
    assert settings == {
        "name": "my_concept",
        "initializer": "dog",
        "templates": "object",
        "captions": "",
        "steps": 400,
        "batch_size": 4,
        "resolution": 768,
        "seed": 42,
        "learning_rate": 0.04,
        "kappa": 0.0001,
        "magnitude": "mean",
        "n_vectors": 0,
        "microbatch_size": 0,
        "save_every": 100,
        "if_exists": "error",
    }


def test_use_concept(editor, client, checkpoint):
    editor.load(WORKFLOWS / "use_concept.json")
    make_small(editor, checkpoint)
    choose(editor, "DTI_LoadEmbedding", embedding="learned_before.safetensors")
    pictures = client.images(editor.run())
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 2


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_every_workflow_has_a_picture_and_notes(workflow):
    assert workflow.with_suffix(".jpg").is_file()
    assert "MarkdownNote" in workflow.read_text(encoding="utf-8")
