"""Load DTI Embedding in a real host."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from comfy_host.client import Client, HostError
from comfy_host.graphs import node, text_to_image
from dti_core.dial import INITIALIZER
from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import save_embedding


def write(client: Client, name: str, seed: int, widths: dict[str, int], rows: int = 2) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = {key: torch.randn((rows, width), generator=generator) for key, width in widths.items()}
    path = client.host.base / "models" / "embeddings" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def graph(checkpoint: str, file: str, prompt: str = "a photo of {} in the rain", **dial):
    """The prompt's clip comes through the loader, and its text takes the loader's trigger."""
    stock = text_to_image(checkpoint, ["prompt", 0], seed=3)
    stock["positive"]["inputs"]["clip"] = ["load", 1]
    return {
        **stock,
        "load": node("DTI_LoadEmbedding", embedding=file, clip=["checkpoint", 1], **dial),
        "prompt": node("StringReplace", string=prompt, find="{}", replace=["load", 2]),
    }


def picture(client, prompt_graph):
    return client.images(client.run(prompt_graph), "picture")[0]


@pytest.mark.parametrize("name", ["pets/rex", "M\u00fcller", "\u67f4\u72ac"])
def test_the_trigger_reaches_the_prompt(client, checkpoint, name):
    write(client, name, 1, {"clip_l": 64, "clip_g": 96})
    loaded = picture(client, graph(checkpoint, f"{name}.safetensors"))
    typed = picture(client, text_to_image(checkpoint, f"a photo of embedding:{name} in the rain", seed=3))
    without = picture(client, text_to_image(checkpoint, "a photo of in the rain", seed=3))
    assert (loaded == typed).all()
    assert (loaded != without).any()


def test_a_changed_file_is_never_stale(client, checkpoint):
    """The host keeps a prompt's encoding by its text; a new file under the old name has to get through."""
    write(client, "again", 1, {"clip_l": 64, "clip_g": 96})
    first = picture(client, graph(checkpoint, "again.safetensors"))
    write(client, "again", 2, {"clip_l": 64, "clip_g": 96})
    second = picture(client, graph(checkpoint, "again.safetensors"))
    write(client, "again", 1, {"clip_l": 64, "clip_g": 96})
    third = picture(client, graph(checkpoint, "again.safetensors"))
    assert (first != second).any()
    assert (first == third).all()


def test_a_typed_trigger_behind_the_loader_is_never_stale(client, checkpoint):
    def typed():
        behind = graph(checkpoint, "typed.safetensors")
        behind["positive"]["inputs"]["text"] = "a photo of embedding:typed now"
        return picture(client, behind)

    write(client, "typed", 1, {"clip_l": 64, "clip_g": 96})
    first = typed()
    write(client, "typed", 2, {"clip_l": 64, "clip_g": 96})
    assert (typed() != first).any()


def test_a_second_file_of_that_name_changes_nothing(client, checkpoint):
    """A prompt alone would read either; the loader had given the plain name before."""
    write(client, "double", 1, {"clip_l": 64, "clip_g": 96})
    first = picture(client, graph(checkpoint, "double.safetensors"))
    write(client, "pets/double", 2, {"clip_l": 64, "clip_g": 96})
    assert (picture(client, graph(checkpoint, "double.safetensors", "a photo of {} in the rain")) == first).all()
    second = picture(client, graph(checkpoint, "pets/double.safetensors"))
    assert (second != first).any()
    typed = text_to_image(checkpoint, "a photo of embedding:pets/double in the rain", seed=3)
    assert (picture(client, typed) == second).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"wrong_width.*is for SDXL .*clip_l 768.*clip_g 1280.*needs clip_l 64"),
        (b"", "truncated or not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"hello, this is a text file and not an embedding", "truncated or not a safetensors file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(client, checkpoint, content, message):
    write(client, "wrong_width", 1, {"clip_l": 768, "clip_g": 1280})
    if content is not None:
        (client.host.base / "models" / "embeddings" / "wrong_width.safetensors").write_bytes(content)
    with pytest.raises(HostError, match=message) as caught:
        client.run(graph(checkpoint, "wrong_width.safetensors"))
    assert caught.value.node_id == "load"


def test_a_missing_file_is_refused(client, checkpoint):
    with pytest.raises(HostError, match=r"no_such.safetensors") as caught:
        client.run(graph(checkpoint, "no_such.safetensors"))
    assert caught.value.node_id == "load"


def test_likeness_goes_from_the_word_to_the_file(client, checkpoint):
    """At 1 the prompt is that of the file, at 0 that of the word, and a sweep between the two is the dial."""
    file = "dialled.safetensors"
    saved = ConceptEmbedding(
        "dialled", {"clip_l": torch.ones(1, 64), "clip_g": torch.ones(1, 96)}, {INITIALIZER: "star"}
    )
    save_embedding(saved, client.host.base / "models" / "embeddings" / file)
    typed = picture(client, text_to_image(checkpoint, "a photo of embedding:dialled in the rain", seed=3))
    word = picture(client, text_to_image(checkpoint, "a photo of star in the rain", seed=3))
    other = picture(client, text_to_image(checkpoint, "a photo of heart in the rain", seed=3))
    assert (picture(client, graph(checkpoint, file, likeness=1.0, initializer="heart")) == typed).all()
    assert (picture(client, graph(checkpoint, file, likeness=0.0)) == word).all()
    assert (picture(client, graph(checkpoint, file, likeness=0.0, initializer=" heart")) == other).all()
    half = picture(client, graph(checkpoint, file, likeness=0.5))
    assert (half != typed).any() and (half != word).any()
    sweep = graph(checkpoint, file)
    sweep["word"] = node("DTI_LoadEmbedding", embedding=file, clip=["checkpoint", 1], likeness=0.0)
    ends = {"embedding_a": ["word", 0], "embedding_b": ["load", 0], "clip": ["checkpoint", 1]}
    sweep["sweep"] = node("DTI_SlerpSweep", **ends, ratios="0.5", method="slerp")
    sweep["positive"]["inputs"]["clip"] = ["sweep", 1]
    sweep["prompt"]["inputs"]["replace"] = ["sweep", 2]
    # The same vectors to a rounding, so the same image to a step of its 255.
    assert np.abs(picture(client, sweep).astype(int) - half).max() <= 1


def test_a_dial_without_an_end_is_refused(client, checkpoint):
    write(client, "stranger", 1, {"clip_l": 64, "clip_g": 96}, rows=1)
    file = "stranger.safetensors"
    for dial, message in (
        ({}, "does not name the word it started from"),
        ({"initializer": "qwzx"}, "not in the text encoder's vocabulary"),
        ({"initializer": "red star"}, "2 tokens long"),
    ):
        with pytest.raises(HostError, match=message) as caught:
            client.run(graph(checkpoint, file, likeness=0.5, **dial))
        assert caught.value.node_id == "load"
    without = graph(checkpoint, file, likeness=0.5, initializer="star")
    del without["load"]["inputs"]["clip"]
    with pytest.raises(HostError, match="connect clip"):
        client.run(without)
    # The norm alone: TEA's other parameter.
    saved = picture(client, graph(checkpoint, file))
    calm = picture(client, graph(checkpoint, file, initializer="star", norm_likeness=0.0))
    assert (saved != calm).any()
