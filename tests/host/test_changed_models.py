"""DTI Train behind nodes that change the MODEL, and on checkpoints of other kinds, as workflows in a real host."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data

from comfy_host.client import Client, HostError
from comfy_host.graphs import node, paint_learned, train

QUICK = {"steps": 2, "batch_size": 2, "resolution": 128, "save_every": 0, "initializer": "cat"}
DOWNSCALE = {
    "block_number": 2,
    "downscale_factor": 2.0,
    "start_percent": 0.0,
    "end_percent": 0.6,
    "downscale_after_skip": True,
    "downscale_method": "bicubic",
    "upscale_method": "bicubic",
}


@pytest.fixture(autouse=True)
def photograph(client: Client) -> None:
    file = io.BytesIO()
    Image.fromarray(data.chelsea()).save(file, "PNG")
    client.add_input("one_photograph/chelsea.png", file.getvalue())


def behind(checkpoint: str, name: str, changed) -> dict:
    """The shipped training, its model taken from the node `changed`."""
    graph = train(checkpoint, "one_photograph", **QUICK, name=name)
    graph["train"]["inputs"]["model"] = ["changed", 0]
    return {**graph, "changed": changed}


@pytest.mark.parametrize(
    ("node_id", "inputs"),
    [
        ("PatchModelAddDownscale", DOWNSCALE),
        ("SelfAttentionGuidance", {"scale": 0.5, "blur_sigma": 2.0}),
        ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
        ("EasyCache", {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}),
    ],
)
def test_trains_and_then_samples(client, checkpoint, node_id, inputs):
    graph = behind(checkpoint, f"behind_{node_id}", node(node_id, model=["checkpoint", 0], **inputs))
    paint = paint_learned("a photo of a {}", steps=2)
    paint["sampler"]["inputs"]["model"] = ["changed", 0]
    run = client.run({**graph, **paint})
    assert client.images(run, "picture")[0].std() > 0
    assert (client.host.base / "models" / "embeddings" / f"behind_{node_id}.safetensors").is_file()


@pytest.mark.parametrize(
    ("node_id", "inputs", "message"),
    [
        (
            "PatchModelAddDownscale",
            {**DOWNSCALE, "upscale_method": "bislerp"},
            "changed by PatchModelAddDownscale .*before that node",
        ),
        ("ModelSamplingSD3", {"shift": 3.0}, "sample as ModelSamplingDiscreteFlow .*before that node"),
        (
            "ModelSamplingDiscrete",
            {"sampling": "x0", "zsnr": False},
            "sampling is ModelSamplingDiscrete [+] X0.*before the node",
        ),
    ],
)
def test_refused_before_training(client, checkpoint, node_id, inputs, message):
    before = sorted((client.host.base / "models" / "embeddings").iterdir())
    with pytest.raises(HostError, match=message) as caught:
        client.run(behind(checkpoint, "refused", node(node_id, model=["checkpoint", 0], **inputs)))
    assert caught.value.node_id == "train"
    assert sorted((client.host.base / "models" / "embeddings").iterdir()) == before


def test_inpainting_checkpoint(client, small_world_file: Path):
    """Five more channels, which answer nothing: the checkpoint as it is, but for its shape."""
    weights = load_file(small_world_file)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    weights[name] = torch.cat([weights[name], torch.zeros_like(weights[name])[:, :1].repeat(1, 5, 1, 1)], dim=1)
    save_file(weights, client.host.base / "models" / "checkpoints" / "inpainting.safetensors")
    for number, checkpoint in enumerate((small_world_file.name, "inpainting.safetensors")):
        client.run(train(checkpoint, "one_photograph", **QUICK, name=f"on_{number}"))
    files = [client.host.base / "models" / "embeddings" / f"on_{number}.safetensors" for number in (0, 1)]
    plain, inpainting = (load_file(file) for file in files)
    for key in plain:
        torch.testing.assert_close(inpainting[key], plain[key], rtol=1e-3, atol=1e-4)
