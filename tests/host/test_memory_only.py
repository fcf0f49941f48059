"""Words that are only in memory: no file is behind them, and what would lose them is said on the node."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import save_file

from comfy_host.client import Client, HostError
from comfy_host.graphs import node, text_to_image

QUICK = {"steps": 2, "size": 64, "seed": 3}


@pytest.fixture(autouse=True)
def two_words(client: Client) -> None:
    """Embeddings `one` and `two`, of the norm of ordinary words."""
    for seed, name in enumerate(("one", "two")):
        generator = torch.Generator().manual_seed(seed)
        vectors = {key: torch.randn((2, width), generator=generator) for key, width in WIDTHS.items()}
        vectors = {key: 0.4 * rows / rows.norm(dim=-1, keepdim=True) for key, rows in vectors.items()}
        save_file(vectors, client.host.base / "models" / "embeddings" / f"{name}.safetensors")


WIDTHS = {"clip_l": 64, "clip_g": 96}
WORDS = {key: node("DTI_LoadEmbedding", embedding=f"{name}.safetensors") for key, name in (("a", "one"), ("b", "two"))}
BETWEEN = {"embedding_a": ["a", 0], "embedding_b": ["b", 0], "clip": ["checkpoint", 1], "method": "slerp"}


def between(checkpoint: str, clip: list, prompt: str = "a photo of {} in the rain"):
    """An image of an embedding between `one` and `two`, whose prompt has this clip."""
    graph = text_to_image(checkpoint, ["prompt", 0], **QUICK)
    graph["positive"]["inputs"]["clip"] = clip
    graph["prompt"] = node("StringReplace", string=prompt, find="{}", replace=["slerp", 2])
    return {**graph, **WORDS, "slerp": node("DTI_Slerp", t=0.5, **BETWEEN)}


def picture(client: Client, graph):
    return client.images(client.run(graph), "picture")[0]


def files(client: Client) -> list[str]:
    folders = [client.host.base / folder for folder in ("temp", "models", "input", "user")]
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


def test_forty_of_them_leave_no_file(client, checkpoint):
    before = files(client)
    ratios = ", ".join(f"{i / 39:.4f}" for i in range(40))
    client.run(
        {
            "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
            **WORDS,
            "sweep": node("DTI_SlerpSweep", ratios=ratios, **BETWEEN),
            "labels": node("PreviewAny", source=["sweep", 3]),
        }
    )
    picture(client, between(checkpoint, ["slerp", 1]))
    assert files(client) == before


def test_a_cleared_folder_changes_nothing(client, checkpoint):
    """A second ComfyUI on the same base clears the temporary folder when it starts."""
    first = picture(client, between(checkpoint, ["slerp", 1]))
    shutil.rmtree(client.host.base / "temp", ignore_errors=True)
    second = between(checkpoint, ["slerp", 1], "a drawing of {} in the rain")
    kept = {**second, "save": node("DTI_SaveEmbedding", embedding=["slerp", 0], name="kept", if_exists="error")}
    kept["save"]["inputs"]["format"] = "comfyui"
    drawn = picture(client, kept)
    assert (drawn != first).any()
    typed = text_to_image(checkpoint, "a drawing of embedding:kept in the rain", **QUICK)
    assert (picture(client, typed) == drawn).all()


def test_a_prompt_that_would_miss_the_word_is_named(client, checkpoint):
    """In whatever order it is wired: the host keeps what a node has given before."""
    right, wrong = between(checkpoint, ["slerp", 1]), between(checkpoint, ["checkpoint", 1])
    wrong["positive"]["_meta"] = {"title": "My prompt"}
    picture(client, right)
    for _ in range(2):
        with pytest.raises(HostError, match=r"My prompt \(#positive\) would not know .* 'one-two-0.5'") as caught:
            client.run(wrong)
        assert caught.value.node_id == "slerp"
        picture(client, right)


@pytest.mark.parametrize("kind", ["DTI_Rescale", "DTI_Mix", "DTI_LoadEmbedding", "DTI_SlerpSweep"])
def test_every_node_says_so(client, checkpoint, kind):
    shutil.copy(
        client.host.base / "models" / "embeddings" / "one.safetensors",
        client.host.base / "models" / "embeddings" / "no prompt can carry this.safetensors",
    )
    inputs = {
        "DTI_Rescale": {"embedding": ["a", 0], "magnitude": "mean", "factor": 1.0},
        "DTI_Mix": {"embedding_1": ["a", 0], "embedding_2": ["b", 0], "weight_1": 1.0, "weight_2": 1.0},
        "DTI_LoadEmbedding": {"embedding": "no prompt can carry this.safetensors"},
        "DTI_SlerpSweep": {**BETWEEN, "ratios": "0.5"},
    }[kind]
    graph = between(checkpoint, ["checkpoint", 1])
    graph["slerp"] = node(kind, **{**inputs, "clip": ["checkpoint", 1]})
    with pytest.raises(HostError, match=r"CLIPTextEncode \(#positive\) would not know the embedding") as caught:
        client.run(graph)
    assert caught.value.node_id == "slerp"
    graph["positive"]["inputs"]["clip"] = ["slerp", 1]
    picture(client, graph)


def test_what_has_the_clip_on_a_detour_or_needs_none_is_left_alone(client, checkpoint):
    graph = between(checkpoint, ["layer", 0])
    graph["layer"] = node("CLIPSetLastLayer", clip=["merge", 0], stop_at_clip_layer=-2)
    graph["merge"] = node("CLIPMergeSimple", clip1=["slerp", 1], clip2=["checkpoint", 1], ratio=1.0)
    graph["shown"] = node("PreviewAny", source=["slerp", 2])
    run = client.run(graph)
    assert "embedding:one-two-0.5" in run.outputs["shown"]["text"][0]
    typed = between(checkpoint, ["slerp", 1])
    typed["positive"]["inputs"]["clip"] = ["layer", 0]
    typed["layer"] = node("CLIPSetLastLayer", clip=["slerp", 1], stop_at_clip_layer=-2)
    assert (picture(client, typed) == client.images(run, "picture")[0]).all()
