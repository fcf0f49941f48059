"""Load Concept Images on a real host: what training gets of a folder, and when it is trained again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from comfy_host.client import Client, HostError, Run
from comfy_host.graphs import node, train

QUICK = {"steps": 2, "resolution": 64, "save_every": 0, "initializer": "cat"}


@pytest.fixture
def folder(client: Client) -> Path:
    """An empty folder `concept` in input."""
    path = client.host.base / "input" / "concept"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def put(folder: Path, name: str, seed: int, size: tuple[int, int] = (96, 64), **options) -> np.ndarray:
    """An image of noise, `size` wide and high."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **options)
    return pixels


def load(**settings):
    return {"pictures": node("DTI_LoadConceptImages", **loader(**settings))}


def loader(**settings):
    return {"folder": "concept", "placeholder": "", "subfolders": False, "background": "white", **settings}


def word(client: Client, name: str) -> np.ndarray:
    return load_file(client.host.base / "models" / "embeddings" / f"{name}.safetensors")["clip_l"].numpy()


def ran(run: Run) -> set[str]:
    return {event["data"]["node"] for event in run.events if event["type"] == "executing"} - {None}


def test_pictures_upright_in_order_with_thumbnails_and_captions(client, folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    put(folder, "10.png", 1)
    turned = put(folder, "2.png", 2, exif=exif)
    clear = np.dstack([np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 0, np.uint8)])
    Image.fromarray(clear).save(folder / "30.png")
    (folder / "2.txt").write_text("photo of ohwx dog in the snow")
    (folder / "10.txt").write_text("")
    graph = load(placeholder="ohwx dog", background="#0000ff")
    graph["kept"] = node("SaveImage", images=["pictures", 0], filename_prefix="loaded")
    graph["masks"] = node("MaskToImage", mask=["pictures", 1])
    graph["kept_masks"] = node("SaveImage", images=["masks", 0], filename_prefix="masks")
    graph["texts"] = node("PreviewAny", source=["pictures", 2])
    run = client.run(graph)
    pictures = client.images(run, "kept")
    assert [picture.shape for picture in pictures] == [(96, 64, 3), (64, 96, 3), (64, 64, 3)]
    assert (pictures[0] == np.rot90(turned, -1)).all()
    assert (pictures[2] == (0, 0, 255)).all()
    assert [mask.mean() for mask in client.images(run, "kept_masks")] == [0, 0, 255]
    assert run.outputs["texts"]["text"] == ["photo of {} in the snow", "", ""]
    assert [thumbnail.shape for thumbnail in client.images(run, "pictures")] == [(256, 256, 3)] * 3


def test_the_second_run_trains_on_what_is_there_then(client, checkpoint, folder):
    """Other images, other captions: trained again. The same files: nothing runs."""
    for number in (1, 2):
        put(folder, f"{number}.png", number)
    graph = train(checkpoint, "concept", name="again", if_exists="replace", **QUICK)
    client.run(graph)
    first = word(client, "again")
    assert "train" not in ran(client.run(graph))

    (folder / "1.png").unlink()
    (folder / "2.png").unlink()
    put(folder, "3.png", 3)
    assert "train" in ran(client.run(graph))
    second = word(client, "again")
    assert (second != first).any()

    (folder / "3.txt").write_text("a painting of a {} in a red frame")
    assert "train" in ran(client.run(graph))
    third = word(client, "again")
    assert (third != second).any()

    (folder / "3.txt").write_text("a painting of a {} in a blue frame")
    assert "train" in ran(client.run(graph))
    assert (word(client, "again") != third).any()

    (folder / "notes.md").write_text("nothing to train on")
    assert "train" not in ran(client.run(graph))


def test_repeats_of_subfolders(client, checkpoint, folder):
    """Said on the node, and drawn by in training."""
    for name in ("5_front/1.png", "5_front/2.png", "side/1.png"):
        put(folder, name, len(name))
    graph = train(checkpoint, "concept", name="repeated", repeats=["pictures", 4], resume="never", **QUICK)
    graph["pictures"] = load(subfolders=True)["pictures"]
    graph["read"] = node("PreviewAny", source=["pictures", 3])
    graph["shown"] = node("PreviewAny", source=["train", 3])
    run = client.run(graph)
    assert "repeats: 2 images of '5_front' x5, 1 image of 'side' x1" in run.outputs["read"]["text"][0]
    assert "by their repeats, in their order: 5, 5, 1." in run.outputs["shown"]["text"][0]
    by_repeats = word(client, "repeated")
    del graph["train"]["inputs"]["repeats"]
    client.run({**graph, "train": node("DTI_Train", **{**graph["train"]["inputs"], "name": "alike"})})
    assert (word(client, "alike") != by_repeats).any()


def refused(client: Client, message: str, **settings) -> HostError:
    with pytest.raises(HostError, match=message) as error:
        client.run(load(**settings))
    assert error.value.node_id == "pictures"
    return error.value


def test_the_first_run_of_a_fresh_user(client, checkpoint):
    """Refused before anything is loaded, and told what to do."""
    graph = train(checkpoint, "my_first_concept", name="bad", **QUICK)
    with pytest.raises(HostError, match=r"no folder 'my_first_concept' yet.*drop 3 to 6 images") as error:
        client.run(graph)
    assert error.value.exception_type == "custom_validation_failed"


def test_folders_are_offered_as_they_are_now(client, folder):
    """And my_concept in any case: a list without an entry cannot be worked in the editor."""
    put(folder, "10_ohwx dog/1.png", 1)
    info = client.get("/object_info/DTI_LoadConceptImages")["DTI_LoadConceptImages"]
    kind, *rest = info["input"]["required"]["folder"]
    offered = kind if isinstance(kind, list) else rest[0]["options"]
    assert {"concept", "concept/10_ohwx dog", "my_concept"} <= set(offered)


def test_folders_without_pictures(client, folder):
    refused(client, "no images. It is empty")
    (folder / "a.mp4").touch()
    refused(client, r"no images. It holds a\.mp4")
    put(folder, "10_ohwx dog/1.png", 1)
    refused(client, "has its images in subfolders: 10_ohwx dog")
    assert len(client.images(client.run(load(subfolders=True)), "pictures")) == 1


@pytest.mark.parametrize("outside", ["..", "../input", "/etc", "concept/../..", ""])
def test_never_leaves_the_input_folder(client, outside):
    refused(client, "inside of ComfyUI's input folder", folder=outside)


def test_what_is_wrong_is_named(client, folder):
    put(folder, "good.png", 1)
    refused(client, "background is 'glass'", background="glass")
    (folder / "good.txt").write_text("photo of ohwx dog")
    refused(client, r"good\.txt does not say where the embedding goes", placeholder="sks")
    (folder / "good.txt").unlink()
    content = (folder / "good.png").read_bytes()
    (folder / "broken.png").write_bytes(content[: len(content) // 2])
    refused(client, r"broken\.png cannot be read")


@pytest.mark.parametrize("which", ["train", "inspect"])
def test_a_list_where_one_value_is_meant_is_refused(client, checkpoint, folder, which):
    """Training once with the first of two, in silence, would not be what was asked for."""
    for number, caption in ((1, "a {}"), (2, "the {}")):
        put(folder, f"{number}.png", number)
        (folder / f"{number}.txt").write_text(caption)
    graph = train(checkpoint, "concept", name="listed", **QUICK)
    if which == "train":
        graph["train"]["inputs"]["initializer"] = ["pictures", 2]
    else:
        inputs = {"embedding": ["train", 0], "clip": ["checkpoint", 1], "prompt": ["pictures", 2]}
        graph["inspect"] = node("DTI_NormInspector", **inputs)
    with pytest.raises(HostError, match=r"got a list of 2 for (initializer|prompt) and takes one") as error:
        client.run(graph)
    assert error.value.node_id == which


def test_training_says_what_is_odd_about_its_pictures(client, checkpoint, folder):
    put(folder, "1.png", 1)
    shutil.copy(folder / "1.png", folder / "2.png")
    Image.new("RGB", (200, 200), "red").save(folder / "3.png")
    (folder / "1.txt").write_text("a {} beside embedding:nobody_has_this, in the rain")
    graph = train(checkpoint, "concept", name="odd", **{**QUICK, "resolution": 128})
    client.run(graph)
    log = client.host.log_tail(20000)
    for note in (
        "Images 1 and 2 are the same",
        "Image 3 is one colour throughout",
        "Image 1 is 96 x 64 pixels and is enlarged 2.0 times",
        "'embedding:nobody_has_this', which finds nothing for the text encoder",
    ):
        assert note in log
    assert "Image 3 is 200" not in log
