"""DTI Train goes on where it was stopped, or from an embedding, in a real host."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from comfy_host.client import Client, HostError, InterruptedPromptError
from comfy_host.graphs import node, train

QUICK = {"steps": 40, "batch_size": 1, "resolution": 64, "save_every": 0, "initializer": "cat"}


def png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def pictures(client: Client) -> None:
    """Two images of noise in the input folder `noise`."""
    for number in (1, 2):
        client.add_input(f"noise/{number}.png", png(number))


def graph_of(checkpoint: str, name: str, **settings):
    graph = train(checkpoint, "noise", name=name, **{**QUICK, **settings})
    graph["losses"] = node("PreviewAny", source=["train", 1])
    return graph


def steps_shown(events) -> list[int]:
    return [e["data"]["value"] for e in events if e["type"] == "progress" and e["data"]["node"] == "train"]


def stopped(client: Client, graph, step: int = 3) -> None:
    pressed = []

    def on_event(event) -> None:
        if not pressed and any(value >= step for value in steps_shown([event])):
            pressed.append(client.interrupt())

    with pytest.raises(InterruptedPromptError):
        client.run(graph, on_event=on_event)


def vectors(client: Client, name: str) -> dict[str, bytes]:
    file = client.host.base / "models" / "embeddings" / f"{name}.safetensors"
    return {key: rows.numpy().tobytes() for key, rows in load_file(file).items()}


def states(client: Client, name: str) -> list[Path]:
    return list((client.host.base / "output" / "dti_states" / name).rglob("*.safetensors"))


def said(run) -> str:
    return run.outputs["train"]["text"][0]


def losses(run) -> list[float]:
    return json.loads(run.outputs["losses"]["text"][0])["loss"]


def test_run_again_after_stop_gives_the_uninterrupted_result(client, checkpoint):
    whole = client.run(graph_of(checkpoint, "whole"))
    assert "resumed" not in said(whole)
    graph = graph_of(checkpoint, "pets/part")
    stopped(client, graph)
    assert 1 <= len(states(client, "pets/part")) <= 3
    (last,) = [max(int(path.stem.removeprefix("step-")) for path in states(client, "pets/part"))]
    again = client.run(graph)
    assert f"resumed at step {last}" in said(again)
    assert min(steps_shown(again.events)) >= last >= 3
    assert vectors(client, "pets/part") == vectors(client, "whole")
    assert losses(again) == losses(whole) and len(losses(whole)) == QUICK["steps"]
    # Further steps are those of the longer run.
    longer = {**QUICK, "steps": QUICK["steps"] + 5}
    client.run(graph_of(checkpoint, "pets/part", **longer, if_exists="replace"))
    client.run(graph_of(checkpoint, "longer", **longer))
    assert vectors(client, "pets/part") == vectors(client, "longer")
    # No prompt takes a state for an embedding.
    assert not any("step-" in name for name in client.get("/embeddings"))


def test_with_a_held_out_image(client, checkpoint):
    """It is said which; the last step is that of a run on the others, and Stop changes nothing of the choice."""
    for number in (1, 2, 3, 4):
        client.add_input(f"four/{number}.png", png(number))
        if number < 4:
            client.add_input(f"three/{number}.png", png(number))

    def graph(name: str, folder: str, **settings):
        made = train(checkpoint, folder, name=name, **QUICK, **settings)
        made["losses"] = node("PreviewAny", source=["train", 1])
        return made

    def chosen(name: str) -> dict[str, str]:
        with safe_open(client.host.base / "models" / "embeddings" / f"{name}.safetensors", "pt") as file:
            return {key: file.metadata()[f"dti.{key}"] for key in ("held_out", "step", "validation")}

    asked = {"held_out": 1, "validate_every": 4}
    whole = client.run(graph("held_whole", "four", **asked))
    assert "Image 4 is held out" in said(whole) and "lowest validation loss" in said(whole)
    client.run(graph("of_three", "three"))
    step = chosen("held_whole")["step"]
    last = "held_whole" if step == str(QUICK["steps"]) else f"held_whole-step{QUICK['steps']}"
    assert vectors(client, last) == vectors(client, "of_three")
    part = graph("held_part", "four", **asked)
    stopped(client, part, step=9)
    again = client.run(part)
    assert "resumed at step" in said(again)
    assert vectors(client, "held_part") == vectors(client, "held_whole")
    assert chosen("held_part") == chosen("held_whole") and chosen("held_whole")["held_out"] == "image 4"


def test_what_differs_is_named_and_wants_a_switch(client, checkpoint):
    stopped(client, graph_of(checkpoint, "changed"))
    client.add_input("noise/2.png", png(7))
    graph = graph_of(checkpoint, "changed", learning_rate=0.02, resume="yes")
    with pytest.raises(HostError, match=r"learning_rate was 0.04 and is 0.02; image 2 changed. Set these back"):
        client.run(graph)
    graph["train"]["inputs"]["resume"] = "despite changes"
    run = client.run(graph)
    assert "despite changes: learning_rate was 0.04 and is 0.02; image 2 changed" in said(run)
    assert steps_shown(run.events)[0] >= 3


def test_images_changed_during_a_run_are_those_of_the_next(client, checkpoint):
    few = {"steps": 12, "resolution": 128, "if_exists": "replace"}
    client.run(graph_of(checkpoint, "undisturbed", **few))
    graph = graph_of(checkpoint, "disturbed", **few)
    client.run(graph, on_event=lambda event: steps_shown([event]) and client.add_input("noise/2.png", png(8)))
    assert vectors(client, "disturbed") == vectors(client, "undisturbed")
    again = client.run(graph)
    assert steps_shown(again.events) and "resumed" not in said(again)
    assert vectors(client, "disturbed") != vectors(client, "undisturbed")


def test_nothing_to_resume_is_said_before_anything_is_loaded(client, checkpoint):
    with pytest.raises(HostError, match="There is no training state of this name"):
        client.run(graph_of(checkpoint, "unheard_of", resume="yes"))


def test_a_state_that_cannot_be_saved_ends_no_run(client, checkpoint):
    place = client.host.base / "output" / "dti_states" / "homeless"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    run = client.run(graph_of(checkpoint, "homeless", steps=4))
    assert "saved to" in said(run) and "training state was not saved" in said(run)


def test_on_from_an_embedding(client, checkpoint):
    client.run(graph_of(checkpoint, "first", steps=4))
    graph = graph_of(checkpoint, "second", steps=4, start_from=["load", 0], prior="start_from")
    graph["load"] = node("DTI_LoadEmbedding", embedding="first.safetensors")
    client.run(graph)
    assert vectors(client, "second") != vectors(client, "first")
    graph["train"]["inputs"] |= {"name": "third", "n_vectors": 2}
    with pytest.raises(HostError, match=r"n_vectors is 2, .* has 1"):
        client.run(graph)
