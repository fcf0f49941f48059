"""Trainings one after another, on models that nodes have changed, and between other work: each as if it were alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from comfy_host.client import Client
from comfy_host.graphs import Graph, node, text_to_image, train

QUICK = {"initializer": "cat", "steps": 2, "batch_size": 2, "resolution": 64, "save_every": 0, "resume": "never"}
LORA = "beside.safetensors"
CHANGED = {
    "nothing": {},
    "lora": {
        "changed": node(
            "LoraLoader",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            lora_name=LORA,
            strength_model=1.0,
            strength_clip=1.0,
        )
    },
    "sampling": {
        "changed": node("ModelSamplingDiscrete", model=["checkpoint", 0], sampling="v_prediction", zsnr=True),
    },
    "hooks": {
        "hooks": node("CreateHookLora", lora_name=LORA, strength_model=1.0, strength_clip=1.0),
        "changed_clip": node(
            "SetClipHooks", clip=["checkpoint", 1], apply_to_conds=True, schedule_clip=False, hooks=["hooks", 0]
        ),
    },
}
INPUTS = {
    "nothing": {},
    "lora": {"model": ["changed", 0], "clip": ["changed", 1]},
    "sampling": {"model": ["changed", 0]},
    "hooks": {"clip": ["changed_clip", 0]},
}


@pytest.fixture
def lora(client: Client, small_world_file: Path) -> None:
    """A LoRA of rank 2 on a layer of the UNet and one of a text encoder; and an image to train on."""
    with safe_open(small_world_file, "pt") as file:
        name = next(key for key in file.keys() if key.endswith("attn2.to_k.weight"))
        rows, columns = file.get_slice(name).get_shape()
    generator = torch.Generator().manual_seed(0)
    layers = {
        "lora_unet_" + name.removeprefix("model.diffusion_model.").removesuffix(".weight").replace(".", "_"): (
            rows,
            columns,
        ),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (256, 64),
    }
    weights = {}
    for layer, (height, width) in layers.items():
        weights[f"{layer}.lora_up.weight"] = torch.randn((height, 2), generator=generator)
        weights[f"{layer}.lora_down.weight"] = 0.3 * torch.randn((2, width), generator=generator)
    folder = client.host.base / "models" / "loras"
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / LORA)
    image = client.host.base / "input" / "beside" / "1.png"
    image.parent.mkdir(exist_ok=True)
    Image.effect_noise((64, 64), 80).convert("RGB").save(image)


def freed(client: Client) -> None:
    """Nothing is loaded or kept any more. The host looks at the request when it has done something else."""
    client.post("/free", {"unload_models": True, "free_memory": True})
    image = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
    client.run({"image": image, "shown": node("PreviewImage", images=["image", 0])})


def trained(client: Client, checkpoint: str, kind: str, name: str) -> tuple[dict[str, torch.Tensor], str]:
    graph: Graph = {**train(checkpoint, "beside", name=name, **QUICK), **CHANGED[kind]}
    graph["train"]["inputs"] |= INPUTS[kind]
    said = client.run(graph).outputs["train"]["text"][0]
    return load_file(client.host.base / "models" / "embeddings" / f"{name}.safetensors"), said


def test_each_is_as_if_it_were_alone(client, checkpoint, lora):
    dog, cat = (text_to_image(checkpoint, f"a photo of a {word}", steps=2) for word in ("dog", "cat"))
    alone = {}
    for kind in CHANGED:
        freed(client)
        alone[kind], said = trained(client, checkpoint, kind, f"alone_{kind}")
        assert ("Set CLIP Hooks" in said) == (kind == "hooks")
    freed(client)
    (before,) = client.files(client.run(dog))
    for kind in reversed(CHANGED):
        beside, _ = trained(client, checkpoint, kind, f"beside_{kind}")
        assert all(torch.equal(beside[key], rows) for key, rows in alone[kind].items())
    client.run(cat)
    (after,) = client.files(client.run(dog))
    assert after == before
    differs = {kind: (alone[kind]["clip_l"] != alone["nothing"]["clip_l"]).any() for kind in CHANGED}
    assert differs == {"nothing": False, "lora": True, "sampling": False, "hooks": True}
