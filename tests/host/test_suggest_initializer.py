"""Suggest Initializer in a real host, on images that the small world itself has generated of a star."""

from __future__ import annotations

import pytest
from safetensors import safe_open

from comfy_host.client import HostError, InterruptedPromptError
from comfy_host.graphs import RECIPE, node, text_to_image

NOUNS = "heart, star\nfish, flower, zxqvy"


def stars(checkpoint: str, seed: int):
    return text_to_image(checkpoint, "a photo of a yellow star", seed=seed, steps=8, count=3)


def graph(checkpoint: str, nouns: str = NOUNS, samples: int = 8, **settings):
    """Three images of a star are generated, and the nouns measured on them."""
    wired = {"model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2], "images": ["decode", 0]}
    suggest = node("DTI_SuggestInitializer", **wired, nouns=nouns, resolution=128, samples=samples, **settings)
    return {**stars(checkpoint, 3), "suggest": suggest, "shown": node("PreviewAny", source=["suggest", 0])}


def test_the_word_is_found_and_trained_from(client, checkpoint):
    """The output is linked to DTI Train's initializer; the models are as they were."""
    before = client.images(client.run(stars(checkpoint, 4)), "picture")[0]
    linked = graph(checkpoint, samples=32)
    settings = {**RECIPE, "name": "suggested", "steps": 1, "resolution": 128, "save_every": 0}
    wires = {key: linked["suggest"]["inputs"][key] for key in ("model", "clip", "vae", "images")}
    linked["train"] = node("DTI_Train", **{**settings, **wires, "initializer": ["suggest", 0]})
    run = client.run(linked)
    assert run.outputs["shown"]["text"] == ["star"]
    first, second, *others = run.outputs["suggest"]["text"][0].splitlines()
    assert first == "star: the lowest loss of 4 nouns, on 32 noisy copies of 3 images"
    assert second == "every other noun is worse beyond the 95 % interval"
    assert others[0].startswith("1. star  loss ") and others[-1].endswith("zxqvy") and len(others) == 5
    with safe_open(client.host.base / "models" / "embeddings" / "suggested.safetensors", "pt") as file:
        assert file.metadata()["dti.initializer"] == "star"
    # The host has forgotten that prompt by now.
    assert (client.images(client.run(stars(checkpoint, 4)), "picture")[0] == before).all()


def test_stop_ends_it_and_it_can_be_run_again(client, checkpoint):
    seen = []

    def stop(event):
        if event["type"] == "progress" and event["data"]["node"] == "suggest":
            seen.append(event["data"]["value"])
            client.interrupt()

    with pytest.raises(InterruptedPromptError):
        client.run(graph(checkpoint, "heart, star, fish, flower, ring, ball, box, circle"), stop)
    assert seen and seen[0] < 8
    assert client.run(graph(checkpoint, "heart, star")).outputs["shown"]["text"] == ["star"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nouns": "star"}, "at least two words"),
        ({"nouns": "star, zxqvy"}, "know star of the nouns"),
        ({"captions": "a photo of a dog"}, "{}"),
    ],
)
def test_what_cannot_be_ranked_is_refused(client, checkpoint, settings, message):
    with pytest.raises(HostError, match=message) as caught:
        client.run(graph(checkpoint, **settings))
    assert caught.value.node_id == "suggest"
