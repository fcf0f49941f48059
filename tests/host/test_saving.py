"""What was trained is not lost at its end, in a real host."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from comfy_host.client import Client, HostError, InterruptedPromptError
from comfy_host.graphs import node, train

QUICK = {"steps": 12, "batch_size": 1, "resolution": 64, "save_every": 0, "initializer": "cat"}


@pytest.fixture(autouse=True)
def pictures(client: Client) -> None:
    """Two images of noise in the input folder `noise`."""
    generator = np.random.default_rng(0)
    for number in (1, 2):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
        client.add_input(f"noise/{number}.png", file.getvalue())


@pytest.fixture
def folder(client: Client) -> Path:
    return client.host.base / "models" / "embeddings"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def said(run) -> str:
    return run.outputs["train"]["text"][0]


def trained(run) -> bool:
    """Whether the node ran, and was not taken from what the host has kept."""
    return any(e["type"] == "progress" and e["data"]["node"] == "train" for e in run.events)


def once(client: Client, step: int, act: Callable[[], object]):
    """Do something when the progress bar shows `step` or more."""
    done: list[object] = []

    def on_event(event):
        data = event["data"]
        if event["type"] == "progress" and data["node"] == "train" and data["value"] >= step and not done:
            done.append(act())

    return on_event


def make_unusable(folder: Path) -> None:
    """A file in the folder's place: nothing can be written there, on every system and for every user."""
    while not folder.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.touch(exist_ok=False)


def test_a_second_file_of_that_name_is_found_before_training(client, checkpoint, folder):
    graph = train(checkpoint, "noise", name="double", **QUICK, if_exists="replace")
    client.run(graph)
    (folder / "old").mkdir()
    other = folder / "old" / "double.safetensors"
    shutil.copy(folder / "double.safetensors", other)
    before = (folder / "double.safetensors").read_bytes()
    graph["train"]["inputs"]["seed"] = 2
    progress = []
    with pytest.raises(HostError, match=r"Another embedding named 'double' is .*old.*might read either") as caught:
        client.run(graph, on_event=progress.append)
    assert str(other) in str(caught.value)
    assert not any(event["type"] == "progress" for event in progress)
    save = node("DTI_SaveEmbedding", embedding=["load", 0], name="double", if_exists="replace", format="comfyui")
    load = node("DTI_LoadEmbedding", embedding="double.safetensors")
    with pytest.raises(HostError, match="might read either") as caught:
        client.run({"load": load, "save": save})
    assert caught.value.node_id == "save"
    assert (folder / "double.safetensors").read_bytes() == before
    shutil.copy(other, folder / "double.pt")  # which the host looks for later, in this folder
    other.unlink()
    assert "saved to" in said(client.run(graph))


@pytest.mark.parametrize("if_exists", ["error", "number"])
def test_a_name_taken_while_it_trained(client, checkpoint, folder, if_exists):
    """As by another ComfyUI that shares the folder."""
    name = f"shared_{if_exists}"
    graph = train(checkpoint, "noise", name=name, **QUICK, if_exists=if_exists)
    graph["shown"] = node("PreviewAny", source=["train", 2])
    taken = folder / f"{name}.safetensors"
    run = client.run(graph, on_event=once(client, 2, lambda: taken.write_bytes(b"of the other")))
    assert taken.read_bytes() == b"of the other"
    assert f"{name}_2.safetensors" in said(run) and "was taken" in said(run)
    assert run.outputs["shown"]["text"] == [f" embedding:{name}_2 "]
    with safe_open(folder / f"{name}_2.safetensors", "pt") as file:
        assert file.metadata()["modelspec.title"] == f"{name}_2"


def test_what_cannot_be_saved_is_handed_on(client, checkpoint, folder):
    graph = train(checkpoint, "noise", name="homeless", **{**QUICK, "save_every": 4})
    try:
        run = client.run(graph, on_event=once(client, 2, lambda: make_unusable(folder)))
    finally:
        folder.unlink()
    assert "'homeless' is trained, but no prompt can read it yet" in said(run)
    assert "homeless.safetensors" in said(run) and "connect Save DTI Embedding" in said(run)
    # The folder is not there at all now; Save makes it.
    save = node("DTI_SaveEmbedding", embedding=["train", 0], name="homeless", if_exists="error", format="comfyui")
    run = client.run({**graph, "save": save})
    assert not trained(run)
    assert names(folder) == ["homeless.safetensors"]
    # A prompt that takes the trigger from the training is told, too.
    with pytest.raises(HostError, match="no prompt can read it yet"):
        client.run({**graph, "shown": node("PreviewAny", source=["train", 2])})


def test_a_last_step_that_cannot_be_saved_does_not_hide_stop(client, checkpoint, folder):
    graph = train(checkpoint, "noise", name="stopped", **{**QUICK, "steps": 400})

    def stop() -> None:
        make_unusable(folder)
        client.interrupt()

    try:
        with pytest.raises(InterruptedPromptError):
            client.run(graph, on_event=once(client, 2, stop))
    finally:
        folder.unlink()
    assert "was not saved" in client.host.log_tail(200)


def test_a_folder_deleted_on_the_way_is_made_again(client, checkpoint, folder):
    (folder / "pets").mkdir(parents=True)
    client.get("/object_info/DTI_LoadEmbedding")  # the host lists the folders
    graph = train(checkpoint, "noise", name="again", **{**QUICK, "save_every": 8})
    client.run(graph, on_event=once(client, 2, lambda: shutil.rmtree(folder)))
    assert names(folder) == ["again-step8.safetensors", "again.safetensors"]
    shutil.rmtree(folder)
    info = client.get("/object_info/DTI_LoadEmbedding")
    assert "DTI_LoadEmbedding" in info
    graph["train"]["inputs"]["name"] = "after"
    client.run(graph)
    assert names(folder) == ["after-step8.safetensors", "after.safetensors"]


def test_a_deleted_file_is_noticed_and_nothing_trains_twice(client, checkpoint, folder):
    graph = train(checkpoint, "noise", name="owned", **QUICK)
    file = folder / "owned.safetensors"
    for deleted in (True, False, True, False):
        assert trained(client.run(graph)) is deleted
        assert file.is_file()
        if deleted:
            again = client.run(graph)
            assert not trained(again)
            assert str(file) in said(again)
        else:
            file.unlink()


@pytest.mark.parametrize("format", ["comfyui", "diffusers pair"])
def test_a_deleted_saved_file_is_noticed(client, checkpoint, folder, format):
    client.run(train(checkpoint, "noise", name="source", **{**QUICK, "if_exists": "replace"}))
    graph = {
        "load": node("DTI_LoadEmbedding", embedding="source.safetensors"),
        "save": node("DTI_SaveEmbedding", embedding=["load", 0], name="copies/x", if_exists="error", format=format),
    }
    file = folder / "copies" / ("x.safetensors" if format == "comfyui" else "x/learned_embeds_2.safetensors")
    client.run(graph)
    client.run(graph)  # a second time it would be refused
    shutil.rmtree(folder / "copies")
    client.run(graph)
    assert file.is_file()
    client.run(graph)


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        ({"templates": "style"}, {"dti.templates": "style"}),
        (
            {"captions": "a {} at night\na \u00fcber {}\n\na {} at night"},
            {"dti.captions": ["a {} at night", "a \u00fcber {}"]},
        ),
    ],
)
def test_the_header_says_what_was_said_of_the_pictures(client, checkpoint, folder, settings, notes):
    client.run(train(checkpoint, "noise", name="noted", **QUICK, **settings, if_exists="replace"))
    with safe_open(folder / "noted.safetensors", "pt") as file:
        metadata = file.metadata()
    found = {key: metadata[key] for key in ("dti.templates", "dti.captions") if key in metadata}
    assert {key: json.loads(v) if key == "dti.captions" else v for key, v in found.items()} == notes
