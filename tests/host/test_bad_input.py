"""Bad input to DTI Train: a clear error from the node, nothing half-written, the next run works."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from comfy_host.client import Client, HostError
from comfy_host.graphs import node, train

QUICK = {"steps": 2, "resolution": 128, "save_every": 0}


@pytest.fixture(autouse=True)
def pictures(client: Client) -> None:
    """Two images of noise in the input folder `noise`."""
    generator = np.random.default_rng(0)
    for number in (1, 2):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(file, "PNG")
        client.add_input(f"noise/{number}.png", file.getvalue())


def embeddings(client: Client) -> list[str]:
    return sorted(str(path) for path in (client.host.base / "models" / "embeddings").rglob("*"))


def refuse(client: Client, graph, message: str) -> None:
    before = embeddings(client)
    with pytest.raises(HostError, match=message) as caught:
        client.run(graph)
    assert caught.value.node_id == "train"
    assert embeddings(client) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "it is empty"),
        ({"name": "../escape"}, "cannot be used"),
        ({"name": "/etc/passwd"}, "cannot be used"),
        ({"name": "C:\\dog"}, "backslash"),
        ({"name": "my dog"}, "characters that end a name"),
        ({"name": "dog[1]"}, "characters that end a name"),
        ({"name": "500"}, "read it as a weight"),
        ({"name": "nan"}, "read it as a weight"),
        ({"name": "dog.safetensors"}, "file extension"),
        ({"initializer": ""}, "initializer '' is empty"),
        ({"initializer": "(dog:1.2)"}, r"initializer '\(dog:1.2\)' has \( \) :, which would be trained as words"),
        ({"initializer": "embedding:dog"}, "has :, which"),
        ({"initializer": "dog " * 80}, "is 80 tokens long, and at most 32"),
        ({"initializer": "\u67f4\u72ac"}, "would fall into . pieces, .*\u72ac"),
        ({"initializer": "zxqvy"}, "not in the text encoder's vocabulary.*z [+] x"),
        ({"captions": "a photo of a dog"}, "exactly one"),
        ({"captions": "a {} beside a {}"}, "exactly one"),
        ({"initializer": "stuffed animal", "n_vectors": 1}, "2 tokens long"),
        ({"steps": 0}, "steps"),
        ({"patience": 5}, "patience is 5, but held_out is 0"),
        ({"batch_size": 0}, "batch_size"),
        ({"kappa": -1.0}, "kappa"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"templates": "animal"}, "templates"),
        ({"magnitude": "largest"}, "magnitude"),
    ],
)
def test_settings(client, checkpoint, settings, message):
    refuse(client, train(checkpoint, "noise", **{**QUICK, "name": "bad", **settings}), message)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": ""},
        {"name": "my dog"},
        {"initializer": ""},
        {"initializer": "(dog:1.2)"},
        {"noise_start": 0.8, "noise_end": 0.2},
        {"noise_end": 1.5},
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_runs(client, checkpoint, settings):
    graph = train(checkpoint, "noise", **{**QUICK, "name": "bad", **settings})
    with pytest.raises(HostError, match="Custom validation failed") as caught:
        client.submit(graph)
    assert caught.value.node_id == "train"


def test_name_that_exists(client, checkpoint):
    client.run(train(checkpoint, "noise", name="taken", **QUICK))
    again = train(checkpoint, "noise", name="Taken", **QUICK, seed=2, if_exists="error")
    refuse(client, again, "already in models/embeddings")
    client.run(train(checkpoint, "noise", name="taken", **QUICK, seed=2))
    assert any(path.endswith("taken_2.safetensors") for path in embeddings(client))


def with_image(checkpoint, **nodes):
    graph = train(checkpoint, "noise", name="bad", images=["image", 0], **QUICK)
    del graph["pictures"]
    return {**graph, **nodes}


def test_tiny_pictures(client, checkpoint):
    tiny = node("EmptyImage", width=4, height=4, batch_size=2, color=0)
    refuse(client, with_image(checkpoint, image=tiny), "image 1 of 2 is 4 x 4 pixels")


def test_pictures_with_alpha(client, checkpoint):
    graph = with_image(
        checkpoint,
        rgb=node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        mask=node("SolidMask", width=64, height=64, value=0.5),
        image=node("JoinImageWithAlpha", image=["rgb", 0], alpha=["mask", 0]),
    )
    refuse(client, graph, "image 1 of 1 has an alpha channel")


def test_the_next_run_works(client, checkpoint):
    refuse(client, train(checkpoint, "noise", **QUICK, name="bad", initializer="zxqvy"), "vocabulary")
    client.run(train(checkpoint, "noise", name="after_the_errors", **QUICK))
