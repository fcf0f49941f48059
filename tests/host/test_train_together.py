"""Several concepts in one run, in a real host: a file of each, which a stock prompt reads."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open

from comfy_host.client import Client, HostError, InterruptedPromptError
from comfy_host.graphs import Graph, node, text_to_image, train
from tests.host.test_train_concepts import QUICK, SETTINGS, png, saved, steps_shown, vectors

NAMES = ("mug", "rex")


@pytest.fixture(autouse=True)
def pair(client: Client) -> None:
    """Two concepts, of which the first has an image that shows both."""
    shutil.rmtree(client.host.base / "input" / "pair", ignore_errors=True)
    for file in (client.host.base / "models" / "embeddings").glob("*.safetensors"):
        file.unlink()
    for number, folder in enumerate(("rex cat", "mug cup"), start=1):
        client.add_input(f"pair/{folder}/1.png", png(number))
        client.add_input(f"pair/{folder}/2.png", png(10 * number))
    client.add_input("pair/rex cat/3.png", png(30))
    client.add_input("pair/rex cat/3.txt", b"a photo of {rex} beside a {mug}")


def together(checkpoint: str, **settings) -> Graph:
    loader = {"folder": "pair", "initializer": "", "templates": "object", "placeholder": ""}
    loader |= {"background": "white", "masks_from_transparency": False}
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "pair": node("DTI_LoadConceptFolders", **loader),
        "train": node(
            "DTI_TrainTogether",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            vae=["checkpoint", 2],
            concepts=["pair", 0],
            **{**SETTINGS, **QUICK, **settings},
        ),
        "report": node("PreviewAny", source=["train", 3]),
    }


def picture(client: Client, graph: Graph) -> np.ndarray:
    return client.images(client.run(graph), "picture")[0]


def test_two_concepts_in_one_run_are_read_by_a_stock_prompt(client, checkpoint):
    graph = together(checkpoint, preview_every=1, preview_prompts="a {}\na {rex} beside a {mug}")
    graph["pictures"] = node("PreviewImage", images=["train", 2])
    graph["triggers"] = node("PreviewAny", source=["train", 1])
    run = client.run(graph)
    said = run.outputs["report"]["text"][0].splitlines()
    assert said[:2] == [f"{name}: saved to {saved(client, name)}" for name in NAMES]
    assert run.outputs["triggers"]["text"] == [" embedding:mug ", " embedding:rex "]
    assert len(client.images(run, "pictures")) == 1 and steps_shown(run)[-1] == QUICK["steps"]
    for name, word, other in (("rex", "cat", "mug"), ("mug", "cup", "rex")):
        with safe_open(saved(client, name), "pt") as file:
            header = file.metadata()
        assert (header["dti.initializer"], header["dti.together"], header["dti.batch_size"]) == (word, other, "2")
    with safe_open(saved(client, "rex"), "pt") as file:
        assert "a photo of {} beside a {mug}" in json.loads(file.metadata()["dti.captions"])

    # Nothing is trained again until a file is gone.
    assert "train" not in {e["data"]["node"] for e in client.run(graph).events if e["type"] == "executing"}
    saved(client, "mug").unlink()
    again = client.run(graph).outputs["report"]["text"][0].splitlines()
    assert again[:2] == [f"mug: saved to {saved(client, 'mug')}", f"rex: saved to {saved(client, 'rex_2')}"]
    assert vectors(client, "rex_2") == vectors(client, "rex")

    # Read from their files by ComfyUI itself, and handed to a prompt by our loader: the same image.
    stock = text_to_image(checkpoint, "a photo of embedding:rex beside embedding:mug")
    loaded = text_to_image(checkpoint, ["both", 0])
    loaded["rex"] = node("DTI_LoadEmbedding", embedding="rex.safetensors", clip=["checkpoint", 1])
    loaded["mug"] = node("DTI_LoadEmbedding", embedding="mug.safetensors", clip=["rex", 1])
    loaded["one"] = node("StringReplace", string="a photo of <rex> beside <mug>", find="<rex>", replace=["rex", 2])
    loaded["both"] = node("StringReplace", string=["one", 0], find="<mug>", replace=["mug", 2])
    loaded["positive"]["inputs"]["clip"] = ["mug", 1]
    shown = picture(client, stock)
    assert (shown == picture(client, loaded)).all()
    words = text_to_image(checkpoint, "a photo of cat beside embedding:mug")
    assert (shown != picture(client, words)).any()


def test_one_alone_is_what_dti_train_makes_of_it(client, checkpoint):
    shutil.rmtree(client.host.base / "input" / "pair" / "mug cup")
    client.add_input("pair/rex cat/3.txt", b"a photo of {rex} in the grass")
    client.run(together(checkpoint, average=2))
    alone = train(checkpoint, "pair/rex cat", **QUICK, average=2, name="alone", initializer="cat")
    alone["pictures"]["inputs"]["placeholder"] = "rex"
    client.run(alone)
    assert vectors(client, "alone") == vectors(client, "rex")


def test_stop_keeps_both_and_run_goes_on(client, checkpoint):
    steps = 40
    client.run(together(checkpoint, steps=steps))
    whole = {name: vectors(client, name) for name in NAMES}
    for name in NAMES:
        saved(client, name).unlink()
    shown: list[int] = []

    def stop(event) -> None:
        if event["type"] == "progress" and event["data"]["node"] == "train":
            if event["data"]["value"] >= 3 and not any(value >= 3 for value in shown):
                client.interrupt()
            shown.append(event["data"]["value"])

    graph = together(checkpoint, steps=steps, seed=7)
    with pytest.raises(InterruptedPromptError):
        client.run(graph, on_event=stop)
    kept = [sorted(path.name for path in saved(client, name).parent.glob(f"{name}-step*")) for name in NAMES]
    assert [len(files) for files in kept] == [1, 1]
    again = client.run(graph)
    assert "resumed at step " in again.outputs["report"]["text"][0] and min(steps_shown(again)) >= 3
    stopped = {name: vectors(client, name) for name in NAMES}
    client.run(together(checkpoint, steps=steps, seed=7, resume="never", if_exists="replace"))
    assert {name: vectors(client, name) for name in NAMES} == stopped != whole


def test_a_name_that_no_concept_has_is_refused_before_the_first_step(client, checkpoint):
    client.add_input("pair/mug cup/1.txt", b"a {} beside a {Rex the cat}")
    shown: list = []
    with pytest.raises(HostError, match="names 'Rex the cat'; the concepts are ") as error:
        client.run(together(checkpoint), on_event=shown.append)
    assert error.value.node_id == "train"
    assert not [event for event in shown if event["type"] == "progress" and event["data"]["node"] == "train"]
    with pytest.raises(HostError, match="preview_prompts: 'a dog' names no concept"):
        client.run(together(checkpoint, preview_prompts="a dog"))
