"""Embeddings between embeddings, in a real host."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file

from comfy_host.client import Client, HostError
from comfy_host.graphs import Graph, node, text_to_image

PROMPT = "a photo of {} in the rain"
QUICK = {"steps": 2, "size": 64, "seed": 3}


@pytest.fixture(autouse=True)
def two_words(client: Client) -> None:
    """Embeddings `one` and `two` of two vectors, `three` of three, of the norm of ordinary words."""
    for seed, (name, n) in enumerate({"one": 2, "two": 2, "three": 3}.items()):
        generator = torch.Generator().manual_seed(seed)
        vectors = {key: torch.randn((n, width), generator=generator) for key, width in WIDTHS.items()}
        vectors = {key: 0.4 * rows / rows.norm(dim=-1, keepdim=True) for key, rows in vectors.items()}
        save_file(vectors, client.host.base / "models" / "embeddings" / f"{name}.safetensors")


WIDTHS = {"clip_l": 64, "clip_g": 96}


def load(name: str) -> dict:
    return node("DTI_LoadEmbedding", embedding=f"{name}.safetensors", clip=["checkpoint", 1])


def painted(checkpoint: str, clip: list, trigger: list, **nodes) -> Graph:
    """An image of PROMPT with the trigger and the clip of one of `nodes`."""
    graph = text_to_image(checkpoint, ["prompt", 0], **QUICK)
    graph["positive"]["inputs"]["clip"] = clip
    graph["prompt"] = node("StringReplace", string=PROMPT, find="{}", replace=trigger)
    return {**graph, "a": load("one"), "b": load("two"), **nodes}


def slerp(**inputs) -> dict:
    settings = {
        "embedding_a": ["a", 0],
        "embedding_b": ["b", 0],
        "t": 0.5,
        "method": "slerp",
        "clip": ["checkpoint", 1],
    }
    return node("DTI_Slerp", **{**settings, **inputs})


def between(checkpoint: str, **inputs) -> Graph:
    return painted(checkpoint, ["slerp", 1], ["slerp", 2], slerp=slerp(**inputs))


def picture(client: Client, graph: Graph):
    return client.images(client.run(graph), "picture")[0]


def loaded_picture(client: Client, checkpoint: str, which: str):
    return picture(client, painted(checkpoint, [which, 1], [which, 2]))


def test_the_ends_paint_what_the_embeddings_paint(client, checkpoint):
    one, two = (loaded_picture(client, checkpoint, which) for which in ("a", "b"))
    assert (picture(client, between(checkpoint, t=0.0)) == one).all()
    assert (picture(client, between(checkpoint, t=1.0)) == two).all()
    middle = picture(client, between(checkpoint, t=0.5))
    assert (middle != one).any() and (middle != two).any()
    assert (picture(client, between(checkpoint, t=0.5, method="lerp")) != middle).any()


def test_each_encoder_may_have_its_own_t(client, checkpoint):
    one = loaded_picture(client, checkpoint, "a")
    assert (picture(client, between(checkpoint, t=0.5, t_clip_l=0.0, t_clip_g=0.0)) == one).all()
    assert (picture(client, between(checkpoint, t=0.0, t_clip_g=0.5)) != one).any()


def test_a_sweep_paints_a_row_in_one_graph(client, checkpoint):
    sweep = node(
        "DTI_SlerpSweep",
        embedding_a=["a", 0],
        embedding_b=["b", 0],
        clip=["checkpoint", 1],
        ratios="0, 0.4 0.6,1",
        method="slerp",
    )
    graph = painted(checkpoint, ["sweep", 1], ["sweep", 2], sweep=sweep, labels=node("PreviewAny", source=["sweep", 3]))
    run = client.run(graph)
    row = client.images(run, "picture")
    assert len(row) == 4
    assert (row[0] == loaded_picture(client, checkpoint, "a")).all()
    assert (row[3] == loaded_picture(client, checkpoint, "b")).all()
    assert (row[1] == picture(client, between(checkpoint, t=0.4))).all()
    assert all((left != right).any() for left, right in pairwise(row))
    assert run.outputs["labels"]["text"] == ["t = 0", "t = 0.4", "t = 0.6", "t = 1"]


def test_a_mix_of_two_is_a_slerp(client, checkpoint):
    inputs = {"embedding_1": ["a", 0], "embedding_2": ["b", 0], "weight_1": 3.0, "weight_2": 0.0}
    graph = painted(checkpoint, ["mix", 1], ["mix", 2], mix=node("DTI_Mix", clip=["checkpoint", 1], **inputs))
    assert (picture(client, graph) == loaded_picture(client, checkpoint, "a")).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"embedding_b": ["c", 0]}, "'one' has 2 vectors and 'three' has 3 vectors; .*Set padding to 'repeat'"),
        ({"t_clip_g": -0.5}, "t is -0.5 for clip_g"),
    ],
)
def test_what_does_not_fit_is_refused(client, checkpoint, inputs, message):
    graph = between(checkpoint, **inputs)
    graph["c"] = load("three")
    with pytest.raises(HostError, match=message) as caught:
        client.run(graph)
    assert caught.value.node_id == "slerp"


def test_a_shorter_word_is_padded_where_that_is_chosen(client, checkpoint):
    """At t = 1 the one with more vectors is whole."""
    graph = between(checkpoint, embedding_b=["c", 0], t=1.0, padding="repeat")
    graph["c"] = load("three")
    whole = painted(checkpoint, ["c", 1], ["c", 2], c=load("three"))
    assert (picture(client, graph) == picture(client, whole)).all()
    sweep = node(
        "DTI_SlerpSweep", embedding_a=["a", 0], embedding_b=["c", 0], clip=["checkpoint", 1], ratios="1",
        method="slerp", padding="repeat",
    )  # fmt: skip
    row = painted(checkpoint, ["sweep", 1], ["sweep", 2], sweep=sweep, c=load("three"))
    assert (picture(client, row) == picture(client, whole)).all()
    inputs = {"embedding_1": ["a", 0], "embedding_2": ["c", 0], "weight_1": 0.0, "weight_2": 1.0}
    mix = node("DTI_Mix", clip=["checkpoint", 1], padding="repeat", **inputs)
    mixed = painted(checkpoint, ["mix", 1], ["mix", 2], mix=mix, c=load("three"))
    assert (picture(client, mixed) == picture(client, whole)).all()


def test_ratios_that_are_no_numbers(client, checkpoint):
    inputs = {"embedding_a": ["a", 0], "embedding_b": ["b", 0], "clip": ["checkpoint", 1], "method": "slerp"}
    sweep = node("DTI_SlerpSweep", ratios="0 to 1", **inputs)
    with pytest.raises(HostError, match="ratios is '0 to 1'; write numbers") as caught:
        client.run(painted(checkpoint, ["sweep", 1], ["sweep", 2], sweep=sweep))
    assert caught.value.node_id == "sweep"


def test_without_a_clip_the_trigger_says_what_to_do(client, checkpoint):
    graph = painted(checkpoint, ["checkpoint", 1], ["slerp", 2], slerp=slerp(clip=None))
    del graph["slerp"]["inputs"]["clip"]
    with pytest.raises(HostError, match=r"No prompt knows the embedding 'one-two-0.5' yet: connect clip"):
        client.run(graph)
