"""DTI Train as a user runs it: a workflow posted to a real host."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from skimage import data

from comfy_host.client import Client, HostError, InterruptedPromptError
from comfy_host.graphs import node, paint_learned, text_to_image, train
from tests.rounding import EPS32

QUICK = {"steps": 6, "resolution": 128, "save_every": 0, "initializer": "cat"}


@pytest.fixture(autouse=True)
def photographs(client: Client) -> None:
    """Three photographs of different sizes in the input folder `photographs`."""
    for name in ("chelsea", "coffee", "rocket"):
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(file, "PNG")
        client.add_input(f"photographs/{name}.png", file.getvalue())


def saved(client: Client, name: str) -> Path:
    return client.host.base / "models" / "embeddings" / f"{name}.safetensors"


def header_and_tensors(path: Path) -> tuple[dict[str, str], bytes]:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"].pop("modelspec.date")
    return header, content[start:]


def steps_shown(events) -> list[int]:
    """Values of the progress bar; a newer host leaves out steps that follow quickly, but never the last."""
    return [e["data"]["value"] for e in events if e["type"] == "progress" and e["data"]["node"] == "train"]


def stop_after(client: Client, step: int, seen: list[int]):
    """Press Stop once the progress bar shows `step` or more; what it shows is noted in `seen`."""

    def on_event(event):
        shown = steps_shown([event])
        if shown and not any(value >= step for value in seen) and shown[0] >= step:
            client.interrupt()
        seen.extend(shown)

    return on_event


def picture(client: Client, graph) -> np.ndarray:
    return client.images(client.run(graph), "picture")[0]


def test_a_word_is_learned_saved_and_painted(client, checkpoint):
    graph = train(checkpoint, "photographs", name="pets/chelsea", **QUICK)
    graph |= paint_learned("a photo of a {} in the rain")
    graph["plot"] = node("LossGraphNode", loss=["train", 1], filename_prefix="loss")
    graph["shown"] = node("PreviewAny", source=["train", 3])
    run = client.run(graph)
    assert len(client.images(run, "picture")) == len(client.images(run, "plot")) == 1
    assert run.outputs["shown"]["text"] == [f"saved to {saved(client, 'pets/chelsea')}"]
    with safe_open(saved(client, "pets/chelsea"), "pt") as file:
        assert sorted(file.keys()) == ["clip_g", "clip_l"]
        assert {key: tuple(file.get_tensor(key).shape) for key in file.keys()} == {"clip_l": (1, 64), "clip_g": (1, 96)}
        # The mean of the small world's words, to two digits.
        assert file.get_tensor("clip_l").norm().item() == pytest.approx(0.39, abs=0.01)
        assert file.metadata()["dti.initializer"] == "cat"
        assert (file.metadata()["dti.method"], file.metadata()["dti.learning_rate"]) == ("DTI", "0.04")
        assert file.metadata()["modelspec.trigger_phrase"] == "embedding:pets/chelsea"
    assert steps_shown(run.events)[-1] == 6


def test_previews_arrive_while_it_trains_and_change_nothing(client, checkpoint):
    settings = {**QUICK, "preview_prompts": "a photo of a {}\na {} on the beach"}
    graph = train(checkpoint, "photographs", name="watched", **settings, preview_every=1)
    graph["shown"] = node("PreviewImage", images=["train", 4])
    run = client.run(graph)
    first, *others = (index for index, event in enumerate(run.events) if event["type"] == "preview")
    begun = next(i for i, event in enumerate(run.events) if steps_shown([event]) and event["data"]["value"] == 1)
    assert first < begun and others
    shown = [np.asarray(Image.open(io.BytesIO(run.events[index]["data"]["image"]))) for index in (first, others[-1])]
    assert shown[0].shape == shown[1].shape
    assert (shown[0] != shown[1]).any()
    (picture,) = client.images(run, "shown")
    assert picture.shape[1] == shown[0].shape[1]
    client.run(train(checkpoint, "photographs", name="unwatched", **settings, preview_every=0))
    tensors = [header_and_tensors(saved(client, name))[1] for name in ("watched", "unwatched")]
    assert tensors[0] == tensors[1]


@pytest.mark.parametrize(
    ("method", "norm"),
    [
        # The small world's words have 0.39, and what leaves a norm over 64 coordinates about the root of 64. A step of
        # Textual Inversion moves by 1.43 words, six of them by up to 8.6 where they go one way.
        ("projected AdamW", pytest.approx(0.39, abs=0.01)),
        ("Textual Inversion", pytest.approx(2, abs=1.2)),
        ("CrossInit", pytest.approx(8, abs=4)),
    ],
)
def test_another_method(client, checkpoint, method, norm):
    name = method.lower().replace(" ", "_")
    client.run(train(checkpoint, "photographs", name=name, **QUICK, method=method))
    with safe_open(saved(client, name), "pt") as file:
        assert file.get_tensor("clip_l").norm().item() == norm
        assert (file.metadata()["dti.method"], file.metadata()["dti.learning_rate"]) == (method, "1.432")
        assert "dti.kappa" not in file.metadata()


def test_same_seed_same_file(client, checkpoint):
    files = []
    for name, seed in (("same_a", 5), ("same_b", 5), ("other", 6)):
        client.run(train(checkpoint, "photographs", name=name, **QUICK, seed=seed))
        header, tensors = header_and_tensors(saved(client, name))
        header["__metadata__"] = {k: v for k, v in header["__metadata__"].items() if name not in v}
        files.append((header, tensors))
    assert files[0] == files[1]
    assert files[0][1] != files[2][1]


def test_an_image_batch_trains_as_one_run(client, checkpoint):
    graph = train(checkpoint, "photographs", name="batch", images=["both", 0], **QUICK)
    for name in ("chelsea", "coffee"):
        graph[name] = node("LoadImage", image=f"photographs/{name}.png")
    graph["both"] = node("ImageBatch", image1=["chelsea", 0], image2=["coffee", 0])
    shown = steps_shown(client.run(graph).events)
    assert shown == sorted(set(shown))
    assert shown[-1] == QUICK["steps"]


def test_captions_one_per_picture(client, checkpoint):
    for name, caption in (("chelsea", "a {} indoors"), ("coffee", "a {} on a table"), ("rocket", "a {} at night")):
        client.add_input(f"photographs/{name}.txt", caption.encode())
    settings = {**QUICK, "class_word": True, "caption_dropout": 0.5}
    graph = train(checkpoint, "photographs", name="captioned", captions=["pictures", 1], **settings)
    graph["pictures"] = node("LoadImageTextDataSetFromFolder", folder="photographs")
    graph["shown"] = node("PreviewAny", source=["train", 3])
    (said,) = client.run(graph).outputs["shown"]["text"]
    assert said.endswith("write 'embedding:captioned cat' into prompts.")
    with safe_open(saved(client, "captioned"), "pt") as file:
        typed = json.loads(file.metadata()["dti.captions"])  # in whatever order that loader lists a folder
        assert sorted(typed) == ["a {} at night", "a {} indoors", "a {} on a table"]
        assert (file.metadata()["dti.class_word"], file.metadata()["dti.caption_dropout"]) == ("cat", "0.5")


@pytest.mark.parametrize("ending", ["finished", "stopped", "failed"])
def test_pictures_are_the_same_before_and_after(client, checkpoint, ending):
    """The small model stays loaded in the host all the while; only the sampler's seed calls for a new image."""
    before = picture(client, text_to_image(checkpoint, "a photo of a dog", seed=100))
    graph = train(checkpoint, "photographs", name=f"run_{ending}", **{**QUICK, "steps": 2000})
    if ending == "finished":
        client.run({**graph, "train": node("DTI_Train", **{**graph["train"]["inputs"], "steps": 3})})
    elif ending == "stopped":
        with pytest.raises(InterruptedPromptError):
            client.run(graph, on_event=stop_after(client, 4, []))
    else:
        graph["train"]["inputs"]["initializer"] = "zxqvy"
        with pytest.raises(HostError, match="vocabulary"):
            client.run(graph)
    assert (picture(client, text_to_image(checkpoint, "a photo of a cat", seed=100)) != before).any()
    assert (picture(client, text_to_image(checkpoint, "a photo of a dog", seed=100)) == before).all()


def test_every_memory_plan_trains_the_same(client, checkpoint):
    """The smallest plans, asked for by name; afterwards the host generates the same image as before."""
    before = picture(client, text_to_image(checkpoint, "a photo of a dog", seed=101))
    vectors = []
    for plan in ("auto", "recompute all blocks", "stream all"):
        name = plan.replace(" ", "_")
        client.run(train(checkpoint, "photographs", name=name, **QUICK, memory_plan=plan))
        with safe_open(saved(client, name), "pt") as file:
            vectors.append(torch.cat([file.get_tensor(key)[0] for key in sorted(file.keys())]))
    for other in vectors[1:]:
        # Images in one pass or one by one: a few hundred roundings, of gradients that steps bring to one size.
        torch.testing.assert_close(other, vectors[0], rtol=0, atol=200 * EPS32 * float(vectors[0].norm()))
    assert (picture(client, text_to_image(checkpoint, "a photo of a cat", seed=101)) != before).any()
    assert (picture(client, text_to_image(checkpoint, "a photo of a dog", seed=101)) == before).all()


def test_stop_ends_within_a_step_and_keeps_it(client, checkpoint):
    seen: list[int] = []
    graph = train(checkpoint, "photographs", name="stopped", **{**QUICK, "steps": 5000})
    with pytest.raises(InterruptedPromptError):
        client.run(graph, on_event=stop_after(client, 3, seen))
    kept = sorted(path.name for path in saved(client, "x").parent.glob("stopped*"))
    (name,) = kept
    step = int(name.removeprefix("stopped-step").removesuffix(".safetensors"))
    at_the_press = next(value for value in seen if value >= 3)
    # The request takes a moment to arrive, in which the run goes on.
    assert at_the_press <= step <= at_the_press + 20
    picture(client, text_to_image(checkpoint, f"a photo of embedding:stopped-step{step} now"))


def test_checkpoints_on_the_way(client, checkpoint):
    client.run(train(checkpoint, "photographs", name="often", **{**QUICK, "save_every": 2}))
    names = sorted(path.stem for path in saved(client, "often").parent.glob("often*"))
    assert names == ["often", "often-step2", "often-step4"]


def test_masks_of_cut_outs(client, checkpoint):
    """Load Concept Images hands on what is transparent, Invert Mask makes the subject of it; without that the node says
    that the background is taken for the subject."""
    generator = np.random.default_rng(0)
    for number in (1, 2):
        pixels = generator.integers(0, 255, (96, 160, 4), dtype=np.uint8)
        pixels[..., 3] = 0
        pixels[20:80, 90:150, 3] = 255
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        client.add_input(f"cut_outs/{number}.png", file.getvalue())
    graph = train(checkpoint, "cut_outs", name="masked", masks=["subject", 0], mirror=True, noise_end=0.9, **QUICK)
    graph["subject"] = node("InvertMask", mask=["pictures", 1])
    graph["shown"] = node("PreviewAny", source=["train", 3])
    (said,) = client.run(graph).outputs["shown"]["text"]
    assert "one colour" not in said
    with safe_open(saved(client, "masked"), "pt") as file:
        assert (file.metadata()["dti.background_weight"], file.metadata()["dti.noise_end"]) == ("0.1", "0.9")
        assert file.metadata()["dti.mirror"] == "True" and "dti.noise_start" not in file.metadata()
        masked = file.get_tensor("clip_l")
    turned = dict(graph["train"]["inputs"], masks=["pictures", 1], name="turned")
    (said,) = client.run({**graph, "train": node("DTI_Train", **turned)}).outputs["shown"]["text"]
    assert "mask 1 marks as the subject is one colour" in said
    with safe_open(saved(client, "turned"), "pt") as file:
        assert (file.get_tensor("clip_l") - masked).norm() > 1e-2


def test_images_in_their_own_shapes(client, checkpoint):
    """Three shapes in one batch, all at once and one by one; what is enlarged for them is said."""
    generator = np.random.default_rng(0)
    for number, size in enumerate(((200, 300), (300, 200), (150, 150))):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (*size, 3), dtype=np.uint8)).save(file, "PNG")
        client.add_input(f"shapes/{number}.png", file.getvalue())
    settings = {**QUICK, "steps": 3, "resolution": 192, "crop": "keep aspect", "random_crop": 0.1}
    vectors = []
    for size in (0, 1):
        graph = train(checkpoint, "shapes", name=f"shapes_{size}", **settings, microbatch_size=size)
        graph["shown"] = node("PreviewAny", source=["train", 3])
        (said,) = client.run(graph).outputs["shown"]["text"]
        assert "Enlarged to the resolution 192: image 3 (150 x 150 pixels, 1.42 times)." in said
        with safe_open(saved(client, f"shapes_{size}"), "pt") as file:
            assert (file.metadata()["dti.crop"], file.metadata()["dti.random_crop"]) == ("keep aspect", "0.1")
            vectors.append(torch.cat([file.get_tensor(key)[0] for key in sorted(file.keys())]))
    # As for memory plans, over half as many steps.
    torch.testing.assert_close(vectors[1], vectors[0], rtol=0, atol=200 * EPS32 * float(vectors[0].norm()))


def test_masks_of_photographs_are_empty(client, checkpoint):
    graph = train(checkpoint, "photographs", name="empty", masks=["pictures", 1], **QUICK)
    with pytest.raises(HostError, match="mask 1 is 0 everywhere"):
        client.run(graph)
    assert not saved(client, "empty").exists()
