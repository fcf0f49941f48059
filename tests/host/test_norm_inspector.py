"""Norm Inspector in a real host."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import load_file

from comfy_host.client import Client, HostError
from comfy_host.graphs import Graph, node
from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import save_embedding

WIDTHS = {"clip_l": 64, "clip_g": 96}
MEANS = {"clip_l": 0.39, "clip_g": 0.45}


def write(client: Client, name: str, times: float, metadata=None, widths=WIDTHS, n_vectors: int = 1) -> None:
    """An embedding of `times` the norm of the small vocabularies' words."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for key, width in widths.items():
        rows = torch.randn((n_vectors, width), generator=generator)
        tensors[key] = times * MEANS[key] * rows / rows.norm(dim=1, keepdim=True)
    path = client.host.base / "models" / "embeddings" / f"{name}.safetensors"
    save_embedding(ConceptEmbedding(name, tensors, metadata or {}), path, overwrite=True)


def graph(checkpoint: str, *names: str, prompt: str = "a photo of a {} in the snow") -> Graph:
    loaders = {f"load_{i}": node("DTI_LoadEmbedding", embedding=f"{n}.safetensors") for i, n in enumerate(names, 1)}
    more = {f"embedding_{i}": [f"load_{i}", 0] for i in range(2, len(names) + 1)}
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        **loaders,
        "inspect": node("DTI_NormInspector", embedding=["load_1", 0], clip=["checkpoint", 1], prompt=prompt, **more),
        "picture": node("SaveImage", images=["inspect", 0], filename_prefix="inspected"),
        "text": node("PreviewAny", source=["inspect", 1]),
    }


def test_picture_and_report_come_out_and_are_shown(client, checkpoint):
    write(client, "long_word", 19, {"ss_sd_model_name": "<b>some model</b>"})
    run = client.run(graph(checkpoint, "long_word"))
    shown, saved = client.images(run, "inspect"), client.images(run, "picture")
    assert [picture.shape for picture in shown] == [(768, 1024, 3)] * 2
    assert all((a == b).all() for a, b in zip(shown, saved, strict=True))
    # A figure for each encoder, with something drawn: the paper is the colour of the corner.
    assert (shown[0] != shown[1]).any()
    assert all(0.02 < (picture != picture[0, 0]).any(axis=-1).mean() < 0.9 for picture in shown)
    (report,) = run.outputs["inspect"]["text"]
    assert run.outputs["text"]["text"] == [report]
    verdict = r"norm (7\.4|8\.5)\d* is 19x the vocabulary mean 0\.\d+: far above ordinary words"
    assert len(re.findall(verdict, report)) == 2
    assert "ss_sd_model_name: <b>some model</b>" in report


def test_several_are_compared(client, checkpoint):
    write(client, "word_a", 1, {"dti.initializer": "dog"})
    write(client, "word_b", 3, n_vectors=2)
    write(client, "word_c", 19)
    run = client.run(graph(checkpoint, "word_a", "word_b", "word_c", "word_a"))
    (report,) = run.outputs["inspect"]["text"]
    assert [line for line in report.splitlines() if line.startswith("===")] == [
        "=== word_a #1 ===", "=== word_b ===", "=== word_c ===", "=== word_a #2 ===",
    ]  # fmt: skip
    assert re.search(r"word_a #2, clip_l: norm 0\.39 is 1x the vocabulary mean 0\.\d+: close to an ordinary", report)
    assert re.search(r"word_b, clip_l: 2 vectors of norm 1\.17, 3x the .* mean 0\.\d+: 2 long", report)
    assert "initializer 'dog'" in report


def test_a_trained_word_is_ordinary_and_its_making_is_told(client, checkpoint):
    write(client, "trained", 1, {"dti.initializer": "dog", "dti.steps": "400", "dti.kappa": "0.0001"})
    run = client.run(graph(checkpoint, "trained"))
    (report,) = run.outputs["inspect"]["text"]
    assert report.count("close to an ordinary word") == 2
    assert "How it was made:\ndti.initializer: dog\ndti.kappa: 0.0001\ndti.steps: 400" in report


@pytest.mark.parametrize(
    ("widths", "prompt", "message"),
    [
        ({"clip_l": 64}, "a {}", r"clip_l 64.*this model.*needs clip_l 64, clip_g 96"),
        (WIDTHS, "a photo", r"has 0 of '\{\}'.*exactly one"),
    ],
)
def test_what_cannot_be_inspected_is_refused(client, checkpoint, widths, prompt, message):
    write(client, "refused", 1, widths=widths)
    with pytest.raises(HostError, match=message) as caught:
        client.run(graph(checkpoint, "refused", prompt=prompt))
    assert caught.value.node_id == "inspect"


def test_the_file_is_not_touched(client, checkpoint):
    write(client, "kept", 4)
    path = client.host.base / "models" / "embeddings" / "kept.safetensors"
    before = load_file(path)
    client.run(graph(checkpoint, "kept"))
    assert all(torch.equal(before[key], value) for key, value in load_file(path).items())
