"""The shipped workflows, opened and run in the page as a user does: pick the files, press Run, see images."""

from __future__ import annotations

import io
import itertools
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from skimage import data

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what torchvision says while it loads
    from benchmarks.small_scorers import small_clip, small_dino

from comfy_host.client import Client, Run
from comfy_host.editor import Editor
from comfy_host.environment import REPO
from comfy_host.workflow import needed_graph
from dti_core.files.header import read_header

WORKFLOWS = REPO / "workflows"


def choose(editor: Editor, node_type: str, **widgets: Any) -> None:
    """Set widgets of the nodes of a type, as by hand; each has to exist and to offer the value."""
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
def files(client: Client, small_world_file: Path) -> None:
    """The files that the workflows name: photographs, a checkpoint, embeddings, one of far too large a norm, a LoRA."""
    for name in ("chelsea", "coffee", "rocket"):
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(file, "PNG")
        client.add_input(f"my_concept/{name}.png", file.getvalue())
        client.add_input(f"my_concepts/{name} cat/{name}.png", file.getvalue())
    models = client.host.base / "models"
    shutil.copyfile(small_world_file, models / "checkpoints" / "sd_xl_base_1.0.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, norm in (("my_concept", 0.4), ("other_concept", 0.4), ("my_style", 0.4), ("old_embedding", 6.0)):
        rows = {key: torch.randn((1, width), generator=generator) for key, width in (("clip_l", 64), ("clip_g", 96))}
        word = {key: norm * torch.nn.functional.normalize(row) for key, row in rows.items()}
        save_file(word, models / "embeddings" / f"{name}.safetensors")
    for name in ("chelsea", "coffee"):
        client.add_input(
            f"my_concept_held_out/{name}.png", (client.host.base / f"input/my_concept/{name}.png").read_bytes()
        )
    (models / "clip_vision").mkdir(exist_ok=True)
    small_dino(models / "clip_vision" / "dinov2_large.safetensors")
    small_clip(models / "clip_vision" / "clip_vit_bigg.safetensors", 96)
    (models / "loras").mkdir(exist_ok=True)
    layer = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    lora = {"lora_up.weight": torch.randn((256, 2), generator=generator), "lora_down.weight": torch.randn((2, 64))}
    save_file({f"{layer}.{part}": weight for part, weight in lora.items()}, models / "loras" / "my_lora.safetensors")


@pytest.fixture
def editor(files: None, editor: Editor) -> Editor:
    """The page, opened after the files are there."""
    return editor


def make_small(editor: Editor) -> None:
    """Sizes for the small model."""
    choose(editor, "EmptyLatentImage", width=128, height=128)
    choose(editor, "KSampler", steps=3)


def test_train_concept(editor, client):
    editor.load(WORKFLOWS / "train_concept.json")
    make_small(editor)
    choose(editor, "DTI_Train", name="browser", initializer="cat", steps=5, resolution=128)
    editor.page.evaluate(
        """() => {
            window.previews = 0;
            window.comfyAPI.api.api.addEventListener("b_preview", () => window.previews++);
        }"""
    )
    run = editor.run()
    assert editor.page.evaluate("() => window.previews") >= 2  # the start and the result
    assert editor.page.evaluate("() => app.graph._nodes.find(node => node.type === 'DTI_Train').imgs.length") == 1
    shown = shapes(client, run)
    assert shown.count((128, 128, 3)) == 2
    assert shown.count((256, 256, 3)) == 3  # what was found
    assert len(shown) == 6  # and the picture of the run
    assert (client.host.base / "models" / "embeddings" / "browser.safetensors").is_file()
    assert any("browser.safetensors" in text for text in previews(editor, run))


def test_suggest_initializer(editor, client):
    """What is trained from is what was found, and nobody typed it."""
    editor.load(WORKFLOWS / "suggest_initializer.json")
    choose(editor, "DTI_SuggestInitializer", nouns="star, fish, flower", samples=4, resolution=128)
    choose(editor, "DTI_Train", name="suggested", steps=2, resolution=128, preview_every=0)
    report, _ = previews(editor, editor.run())
    word, found = report.split(":", 1)
    assert found.startswith(" the lowest loss of 3 nouns, on 4 noisy copies of 3 images") and "\n3. " in report
    with safe_open(client.host.base / "models" / "embeddings" / "suggested.safetensors", "pt") as file:
        assert file.metadata()["dti.initializer"] == word != "dog"


def test_stop_leaves_a_notice_that_says_where_the_last_step_is(editor, client):
    """Newer pages take the text off the nodes at that moment."""
    editor.load(WORKFLOWS / "train_concept.json")
    choose(editor, "DTI_Train", name="halted", initializer="cat", steps=10_000, resolution=128, save_every=0)
    editor.page.evaluate(
        """() => { window.trained = new Promise(done => window.comfyAPI.api.api.addEventListener(
            "progress", ({detail}) => detail.value > 1 && done())); }"""
    )
    editor.page.get_by_role("button", name="Run", exact=True).first.click()
    editor.page.evaluate("() => window.trained")
    client.interrupt()
    notice = editor.page.locator(".p-toast-message", has_text="is saved to")
    notice.wait_for()
    (file,) = (client.host.base / "models" / "embeddings").glob("halted-step*.safetensors")
    assert file.name in "".join(notice.inner_text().split())
    editor.page.wait_for_timeout(5000)  # it does not go away by itself
    assert notice.is_visible()


def test_train_several_concepts(editor, client):
    """One of three fails; the others are trained, and generate an image each."""
    client.add_input("my_concepts/rocket cat/rocket.png", b"not an image")
    editor.load(WORKFLOWS / "train_several_concepts.json")
    make_small(editor)
    choose(editor, "DTI_TrainConcepts", steps=3, resolution=128, if_exists="replace", preview_every=0)
    run = editor.run()
    # Said before the first step, and there until it is closed.
    assert editor.page.locator(".p-toast-message", has_text="rocket will not be trained").is_visible()
    (report,) = previews(editor, run)
    assert report.startswith("2 of 3 concepts are trained and saved; not rocket")
    shown = shapes(client, run)
    assert shown.count((128, 128, 3)) == 2 and shown.count((256, 256, 3)) == 2


@pytest.mark.parametrize(
    ("workflow", "kind"), [("train_concept", "DTI_Train"), ("train_several_concepts", "DTI_TrainConcepts")]
)
def test_what_trains_is_shipped_with_the_defaults(editor, client, workflow, kind):
    editor.load(WORKFLOWS / f"{workflow}.json")
    (train,) = (node for node in editor.api_prompt().values() if node["class_type"] == kind)
    linked = {name for name, value in train["inputs"].items() if isinstance(value, list)}
    settings = {name: value for name, value in train["inputs"].items() if name not in linked}
    inputs = client.get(f"/object_info/{kind}")[kind]["input"]
    fields = {**inputs["required"], **inputs["optional"]}
    options = {name: fields[name][1] for name in fields.keys() - linked}
    # What has no default has no widget either: it may stay unconnected.
    assert settings == {name: known["default"] for name, known in options.items() if "default" in known}
    if kind == "DTI_Train":
        loader, output = train["inputs"]["captions"]
        assert (editor.api_prompt()[loader]["class_type"], output) == ("DTI_LoadConceptImages", 2)


def test_a_file_says_without_its_page_what_the_page_posts(editor, client):
    editor.load(WORKFLOWS / "train_concept.json")
    graph = needed_graph(WORKFLOWS / "train_concept.json", "SaveImage", client.get("/object_info"))
    assert {"DTI_Train", "KSampler", "StringReplace"} < {one["class_type"] for one in graph.values()}
    posted = editor.api_prompt()
    assert graph == {number: {key: posted[number][key] for key in one} for number, one in graph.items()}


def test_use_concept(editor, client):
    editor.load(WORKFLOWS / "use_concept.json")
    make_small(editor)
    assert shapes(client, editor.run()) == [(128, 128, 3)] * 2


def test_interpolate_concepts(editor, client):
    """Five steps of the sweep become one row of five different images, generated with one seed."""
    editor.load(WORKFLOWS / "interpolate_concepts.json")
    make_small(editor)
    choose(editor, "DTI_SlerpSweep", ratios="0, 0.25, 0.5, 0.75, 1")
    (row,) = client.images(editor.run())
    assert row.shape[1] == 8 + 5 * (128 + 8)
    steps = [row[8:136, 8 + i * 136 : 136 + i * 136] for i in range(5)]
    assert all((one != other).any() for one, other in itertools.combinations(steps, 2))


def test_likeness_dial(editor, client):
    """From the word to the embedding; a file that names no word gets one by hand."""
    editor.load(WORKFLOWS / "likeness_dial.json")
    make_small(editor)
    choose(editor, "DTI_LoadEmbedding", initializer="star")
    choose(editor, "DTI_SlerpSweep", ratios="0, 0.5, 1")
    (row,) = client.images(editor.run())
    steps = [row[8:136, 8 + i * 136 : 136 + i * 136] for i in range(3)]
    assert all((one != other).any() for one, other in itertools.combinations(steps, 2))


def test_inspect_embedding(editor, client):
    editor.load(WORKFLOWS / "inspect_embedding.json")
    run = editor.run()
    assert len(client.images(run)) == 4  # two encoders, before and after
    assert sum("15x the vocabulary mean" in text and "Effect II" in text for text in previews(editor, run)) == 2
    assert list((client.host.base / "models" / "embeddings").glob("old_embedding_rescaled*.safetensors"))


def test_subject_in_style(editor, client):
    editor.load(WORKFLOWS / "subject_in_style.json")
    make_small(editor)
    assert shapes(client, editor.run()) == [(128, 128, 3)] * 2


def test_concept_with_lora(editor, client):
    editor.load(WORKFLOWS / "concept_with_lora.json")
    make_small(editor)
    with_lora = client.images(editor.run())
    choose(editor, "LoraLoader", strength_clip=0)
    without = client.images(editor.run())
    assert (with_lora[0] != without[0]).any()


def test_score_embeddings(editor, client):
    editor.load(WORKFLOWS / "score_embeddings.json")
    choose(editor, "DTI_ScoreEmbeddings", class_word="cat", prompt_count=2, seeds=1, steps=3, width=128, height=128)
    run = editor.run()
    (report,) = previews(editor, run)
    assert "1 embedding, 2 images of each" in report and "Chosen: my_concept" in report
    assert shapes(client, run).count((768, 1024, 3)) == 2  # the front, on the node and behind it
    (saved,) = (client.host.base / "models" / "embeddings").glob("best_my_concept*.safetensors")
    assert "dti.score.image" in read_header(saved).metadata


def previews(editor: Editor, run: Run) -> list[str]:
    """What Preview as Text shows after a run."""
    nodes = [number for number, node in editor.api_prompt().items() if node["class_type"] == "PreviewAny"]
    return [run.outputs[number]["text"][0] for number in nodes]


def shapes(client: Client, run: Run) -> list[tuple[int, ...]]:
    """Of the images that a run has left."""
    return [picture.shape for picture in client.images(run)]


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_every_workflow_has_a_picture_and_notes(workflow):
    assert workflow.with_suffix(".jpg").is_file()
    assert "MarkdownNote" in workflow.read_text(encoding="utf-8")
