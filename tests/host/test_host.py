"""The stock nodes of a real ComfyUI on the small checkpoint: what every other host test builds on."""

import numpy as np
import pytest

from comfy_host.client import Client, HostError, InterruptedPromptError, Prompt


def text_to_image(checkpoint: str, text: str = "a photo of a dog", seed: int = 1, steps: int = 4) -> Prompt:
    return {
        "loader": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["loader", 1], "text": text}},
        "empty": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["loader", 1], "text": ""}},
        "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "sampler": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["loader", 0],
                "positive": ["text", 0],
                "negative": ["empty", 0],
                "latent_image": ["latent", 0],
                "seed": seed,
                "steps": steps,
                "cfg": 3.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["loader", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "smoke"}},
    }


def test_the_small_checkpoint_makes_pictures(client: Client, checkpoint: str) -> None:
    (picture,) = client.images(client.run(text_to_image(checkpoint)))
    assert picture.shape == (128, 128, 3)
    assert picture.std() > 10  # 39


def test_the_same_seed_gives_the_same_bytes(client: Client, checkpoint: str) -> None:
    """A change of the seed lies between the two, or the host would serve the first from its cache.

    Here and in the other files: one process that does the same on the same shapes rounds alike, on any processor.
    """
    first, other, second = (client.files(client.run(text_to_image(checkpoint, seed=seed))) for seed in (11, 12, 11))
    assert first == second
    assert first != other


def test_the_prompt_reaches_the_picture(client: Client, checkpoint: str) -> None:
    dog, cars = (client.images(client.run(text_to_image(checkpoint, text)))[0] for text in ("a dog", "three red cars"))
    assert np.abs(dog.astype(float) - cars.astype(float)).mean() > 1  # 33


def test_progress_is_reported(client: Client, checkpoint: str) -> None:
    run = client.run(text_to_image(checkpoint, seed=21, steps=5))
    progress = [event["data"] for event in run.events if event["type"] == "progress"]
    assert {(data["node"], data["max"]) for data in progress} == {("sampler", 5)}
    # A newer host leaves out steps that follow quickly, but never the last.
    values = [data["value"] for data in progress]
    assert values == sorted(set(values))
    assert values[-1] == 5


def test_a_refused_prompt_names_the_node(client: Client) -> None:
    with pytest.raises(HostError, match="no_such_file") as caught:
        client.run(text_to_image("no_such_file.safetensors"))
    assert caught.value.node_id == "loader"


def test_a_failing_node_is_named(client: Client) -> None:
    client.add_input("broken.png", b"no picture")
    prompt: Prompt = {
        "picture": {"class_type": "LoadImage", "inputs": {"image": "broken.png"}},
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["picture", 0]}},
    }
    with pytest.raises(HostError) as caught:
        client.run(prompt)
    assert caught.value.node_id == "picture"
    assert "UnidentifiedImageError" in str(caught.value)


def test_interrupt_stops_the_run(client: Client, checkpoint: str) -> None:
    def stop_at_the_first_step(event: dict[str, object]) -> None:
        if event["type"] == "progress":
            client.interrupt()

    with pytest.raises(InterruptedPromptError):
        client.run(text_to_image(checkpoint, seed=31, steps=1000), on_event=stop_at_the_first_step)
    client.run(text_to_image(checkpoint, seed=32))


def test_the_packs_are_loaded(client: Client) -> None:
    """Node files of the host itself may fail to load on some machines; that is no business of ours."""
    log = client.host.log.read_text(encoding="utf-8")
    loaded = [line for line in log.splitlines() if "seconds" in line and "custom_nodes" in line]
    assert len(loaded) == 4
    assert not [line for line in loaded if "IMPORT FAILED" in line]
