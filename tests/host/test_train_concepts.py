"""Several concepts one after the other, in a real host: one may fail, and Stop loses none."""

from __future__ import annotations

import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from comfy_host.client import Client, HostError, InterruptedPromptError, Run
from comfy_host.graphs import RECIPE, Graph, node, train

NAMES = ("rex", "bad", "mug")
QUICK = {"steps": 3, "batch_size": 1, "resolution": 64, "save_every": 0}
SETTINGS = {key: value for key, value in RECIPE.items() if key not in ("name", "initializer", "templates", "captions")}


def png(seed: int, edge: int = 64) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (edge, edge, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def night(client: Client) -> None:
    """Three concepts, of which the second has an image that is cut off."""
    shutil.rmtree(client.host.base / "input" / "night", ignore_errors=True)
    for number, folder in enumerate(("1_rex cat", "bad dog", "mug cup"), start=1):
        client.add_input(f"night/{folder}/1.png", png(number))
        client.add_input(f"night/{folder}/2.png", png(10 * number))
    client.add_input("night/mug cup/3_front/1.png", png(33))
    client.add_input("night/mug cup/old/1.png", png(34))  # no repeats: passed over
    client.add_input("night/1_rex cat/2.txt", b"rex cat on the grass")
    client.add_input("night/bad dog/2.png", png(20)[:500])


def queue(checkpoint: str, concepts: list, **settings) -> Graph:
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "train": node(
            "DTI_TrainConcepts",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            vae=["checkpoint", 2],
            concepts=concepts,
            **{**SETTINGS, **QUICK, **settings},
        ),
        "report": node("PreviewAny", source=["train", 3]),
    }


def folders(checkpoint: str, **settings) -> Graph:
    loader = {"folder": "night", "initializer": "", "templates": "object", "placeholder": ""}
    loader |= {"background": "white", "masks_from_transparency": False}
    return queue(checkpoint, ["night", 0], **settings) | {"night": node("DTI_LoadConceptFolders", **loader)}


def said(run: Run) -> list[str]:
    return run.outputs["report"]["text"][0].splitlines()


def steps_shown(run: Run) -> list[int]:
    return [e["data"]["value"] for e in run.events if e["type"] == "progress" and e["data"]["node"] == "train"]


def ran(run: Run) -> set[str]:
    return {event["data"]["node"] for event in run.events if event["type"] == "executing"} - {None}


def saved(client: Client, name: str) -> Path:
    return client.host.base / "models" / "embeddings" / f"{name}.safetensors"


def vectors(client: Client, name: str) -> dict[str, bytes]:
    return {key: rows.numpy().tobytes() for key, rows in load_file(saved(client, name)).items()}


def test_one_of_three_fails_and_the_others_are_what_they_are_alone(client, checkpoint):
    graph = folders(checkpoint)
    graph["pictures"] = node("PreviewImage", images=["train", 2])
    graph["triggers"] = node("PreviewAny", source=["train", 1])
    graph["found"] = node("PreviewAny", source=["night", 1])
    run = client.run(graph)
    summary, rex, bad, mug, drawn = said(run)
    assert summary == "2 of 3 concepts are trained and saved; not bad"
    assert rex == f"rex: saved to {saved(client, 'rex')}" and mug == f"mug: saved to {saved(client, 'mug')}"
    assert drawn == "  Images are drawn by their repeats, in their order: 1, 1, 3."
    assert "mug: cup, 3 images, repeats x3, x1" in run.outputs["found"]["text"][0]
    assert bad.startswith("bad: not trained. 2.png cannot be read")
    assert run.outputs["triggers"]["text"] == [" embedding:rex ", " embedding:mug "]
    assert len(client.images(run, "pictures")) == 2
    for name, folder in (("rex", "1_rex cat"), ("mug", "mug cup")):
        word = folder.split()[1]
        alone = train(checkpoint, f"night/{folder}", **QUICK, name=f"{name}_alone", initializer=word)
        alone["pictures"]["inputs"]["placeholder"] = "rex cat"
        if name == "mug":
            shutil.rmtree(client.host.base / "input" / "night" / folder / "old")
            alone["pictures"]["inputs"]["subfolders"] = True
            alone["train"]["inputs"]["repeats"] = ["pictures", 4]
        client.run(alone)
        assert vectors(client, f"{name}_alone") == vectors(client, name)

    # Nothing has changed, but something has failed: tried again, and it alone.
    again = client.run(graph)
    assert [line.split(",")[0] for line in (said(again)[1], said(again)[3])] == [
        "rex: finished before",
        "mug: finished before",
    ]
    assert steps_shown(again) == []
    client.add_input("night/bad dog/2.png", png(20))
    mended = client.run(graph)
    assert said(mended)[0] == "3 of 3 concepts are trained and saved"
    assert steps_shown(mended)[-1] == QUICK["steps"] and saved(client, "bad").is_file()
    assert len(client.images(mended, "pictures")) == 3
    assert "train" not in ran(client.run(graph))
    # Another setting is another run.
    other = said(client.run(folders(checkpoint, seed=1)))
    assert [
        line.startswith(f"{name}: saved to ") and f"{name}_2." in line
        for name, line in zip(NAMES, other[1:-1], strict=True)
    ] == [True] * 3


def listed(checkpoint: str, steps: int, prefix: str) -> Graph:
    """Three concepts from nodes in a row; the last has a mask that does not fit."""
    graph = queue(checkpoint, ["third", 0], steps=steps)
    graph["images"] = node("LoadImage", image="night/mug cup/1.png")
    graph["mask"] = node("SolidMask", value=1.0, width=32, height=32)
    before = {}
    for number, name in enumerate(("first", "second", "third")):
        own = {"name": f"{prefix}{name}", "initializer": "cat", "templates": "object", "images": ["images", 0]}
        own |= {"masks": ["mask", 0]} if name == "third" else {}
        graph[name] = node("DTI_Concept", **own, captions=f"a photo of a {{}} {number}", **before)
        before = {"concepts": [name, 0]}
    return graph


def test_stop_ends_all_and_run_goes_on_where_it_was(client, checkpoint):
    steps = 30
    whole = client.run(listed(checkpoint, steps, "whole_"))
    assert said(whole)[0] == "2 of 3 concepts are trained and saved; not whole_third"
    assert said(whole)[3].startswith("whole_third: not trained. ")
    graph = listed(checkpoint, steps, "part_")
    shown: list[int] = []
    pressed = []

    def stop_in_the_second(event) -> None:
        if event["type"] == "progress" and event["data"]["node"] == "train":
            shown.append(event["data"]["value"])
            is_second = any(later < earlier for earlier, later in itertools.pairwise(shown))
            if is_second and 3 <= shown[-1] < steps and not pressed:
                pressed.append(client.interrupt())

    with pytest.raises(InterruptedPromptError):
        client.run(graph, on_event=stop_in_the_second)
    assert saved(client, "part_first").is_file() and not saved(client, "part_second").exists()
    again = client.run(graph)
    _, first, second, resumed, _ = said(again)
    assert first.startswith("part_first: finished before")
    assert second.startswith("part_second: saved to") and resumed.startswith("  resumed at step ")
    assert min(steps_shown(again)) >= 3
    for name in ("first", "second"):
        assert vectors(client, f"part_{name}") == vectors(client, f"whole_{name}")


def test_without_any_result_the_node_fails(client, checkpoint):
    graph = listed(checkpoint, 3, "none_")
    del graph["third"]["inputs"]["concepts"]
    with pytest.raises(
        HostError, match=r"0 of 1 concepts are trained and saved; not none_third\nnone_third: "
    ) as error:
        client.run(graph)
    assert error.value.node_id == "train"


def test_runs_of_dti_train_wait_for_each_other_and_fail_alone(client, checkpoint):
    graphs = [
        train(checkpoint, "night/mug cup", **QUICK, name=f"queued_{number}", initializer=word, seed=number)
        for number, word in enumerate(("cup", "zxqvy", "cat"))
    ]
    first, second, third = map(client.submit, graphs)
    client.wait(first)
    with pytest.raises(HostError, match="vocabulary"):
        client.wait(second)
    client.wait(third)
    for number, graph in ((0, graphs[0]), (2, graphs[2])):
        graph["train"]["inputs"]["name"] = f"alone_{number}"
        client.run(graph)
        assert vectors(client, f"alone_{number}") == vectors(client, f"queued_{number}")
