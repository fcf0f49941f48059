"""Score Embeddings in a real host, on the small world, with small scorers of random weights."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what torchvision says while it loads
    from benchmarks.small_scorers import small_clip, small_dino
    from tests.benchmarks.dreambooth.tiny_judges import write_siglip

from benchmarks.demo import png
from benchmarks.small_world.subjects import SUBJECTS, pictures_of
from comfy_host.client import Client, HostError, InterruptedPromptError
from comfy_host.graphs import Graph, node, paint, train
from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import save_embedding
from dti_core.files.header import read_header
from dti_core.scoring.similarity import likeness
from dti_core.training.image_marks import image_notes

WIDTHS = {"clip_l": 64, "clip_g": 96}
PROMPTS = ("a photo of a {} on grass", "a {} beside a house", "a drawing of a {}")
STEPS = 3
PICTURES = pictures_of(SUBJECTS[0])


@pytest.fixture(scope="module", autouse=True)
def files(host) -> None:
    """Embeddings `scored` and two steps of it, images of a subject, scorers."""
    for number, name in enumerate(("scored-step200", "scored", "scored-step50"), start=1):
        generator = torch.Generator().manual_seed(number)
        vectors = {key: torch.randn((1, width), generator=generator) for key, width in WIDTHS.items()}
        vectors = {key: 0.4 * rows / rows.norm(dim=-1, keepdim=True) for key, rows in vectors.items()}
        notes = {"dti.initializer": SUBJECTS[0].word, **image_notes([torch.from_numpy(PICTURES[0] / 255)])}
        save_embedding(ConceptEmbedding(name, vectors, notes), embeddings(host) / f"{name}.safetensors")
    folder = host.base / "input" / "scoring"
    folder.mkdir()
    for number, picture in enumerate(PICTURES[1:3]):
        (folder / f"{number}.png").write_bytes(png(picture))
    (host.base / "input" / "trained_on.png").write_bytes(png(PICTURES[0]))
    vision = host.base / "models" / "clip_vision"
    vision.mkdir(exist_ok=True)
    small_dino(vision / "small_dino.safetensors")
    small_clip(vision / "small_clip.safetensors", 96)
    write_siglip(vision / "siglip")


def embeddings(host) -> Path:
    return host.base / "models" / "embeddings"


def graph(checkpoint: str, **inputs) -> Graph:
    given = {
        "embedding_files": "scored*",
        "prompts": "object",
        "prompt_count": 2,
        "seeds": 2,
        "steps": STEPS,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "own_prompts": "\n".join(PROMPTS),
        "width": 128,
        "height": 128,
        "images": ["pictures", 0],
        "image_scorer": ["dino", 0],
        "text_scorer": ["clip", 0],
        **inputs,
    }
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "pictures": node(
            "DTI_LoadConceptImages", folder="scoring", placeholder="", subfolders=False, background="white"
        ),
        "dino": node("CLIPVisionLoader", clip_name="small_dino.safetensors"),
        "clip": node("CLIPVisionLoader", clip_name="small_clip.safetensors"),
        "score": node(
            "DTI_ScoreEmbeddings",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            vae=["checkpoint", 2],
            **{name: value for name, value in given.items() if value is not None},
        ),
        "front": node("SaveImage", images=["score", 3], filename_prefix="front"),
        "sheet": node("SaveImage", images=["score", 4], filename_prefix="sheet"),
    }


def report(client: Client, prompt: Graph) -> str:
    (text,) = client.run(prompt).outputs["score"]["text"]
    return text


def newest(client: Client, pattern: str) -> Path:
    return max((client.host.base / "output" / "dti_scores").glob(pattern), key=lambda path: path.name)


def n_samples(client: Client) -> int:
    return len(list((client.host.base / "output" / "dti_scores" / "samples").glob("*.safetensors")))


def test_steps_are_scored_and_the_best_is_handed_on(client, checkpoint):
    prompt = graph(checkpoint, own_prompts=PROMPTS[0])
    prompt["save"] = node(
        "DTI_SaveEmbedding", embedding=["score", 0], name="chosen", if_exists="error", format="comfyui"
    )
    prompt["prompt"] = node("StringReplace", string="a {} in the snow", find="{}", replace=["score", 2])
    prompt["shown"] = node("PreviewAny", source=["prompt", 0])
    run = client.run(prompt)
    (text,) = run.outputs["score"]["text"]
    # In the order of training, the result behind its steps, whatever order the disk has.
    lines = [line.split()[0] for line in text.splitlines() if line.startswith("scored")]
    assert lines == ["scored-step50", "scored-step200", "scored"] * 2
    assert "Text is judged by CLIP-G" in text
    table = json.loads(newest(client, "scored_*.json").read_text(encoding="utf-8"))
    chosen = table["chosen"]
    assert f"Chosen: {chosen}" in text
    assert run.outputs["shown"]["text"] == [f"a  embedding:{chosen}  in the snow"]
    front, sheet = client.images(run, "front")[0], client.images(run, "sheet")[0]
    assert front.shape == (768, 1024, 3)
    assert sheet.shape[1] > 4 * 128  # four columns
    saved = read_header(embeddings(client.host) / "chosen.safetensors").metadata
    assert saved["dti.score.class_word"] == table["word"] == SUBJECTS[0].word
    assert json.loads(saved["dti.score.chosen_among"]) == ["scored-step50", "scored-step200", "scored"]
    kept = load_file(embeddings(client.host) / "chosen.safetensors")
    assert torch.equal(kept["clip_l"], load_file(embeddings(client.host) / f"{chosen}.safetensors")["clip_l"])
    rows = list(csv.DictReader(io.StringIO(newest(client, "scored_*.csv").read_text(encoding="utf-8"))))
    assert [row["embedding"] for row in rows] == [SUBJECTS[0].word, *lines[:3]]
    for row, values in zip(rows[1:], table["embeddings"], strict=True):
        assert float(row["image"]) == pytest.approx(np.mean(values["image"]), rel=1e-5)


def test_the_scores_are_those_of_the_images_that_a_stock_graph_makes(client, checkpoint, tmp_path):
    """The class word with the same seed through KSampler, VAEDecode and SaveImage, scored by transformers."""
    prompt = graph(checkpoint, own_prompts=PROMPTS[1], seeds=1, seed=5, text_scorer=None)
    report(client, prompt)
    (scored,) = json.loads(newest(client, "scored_*.json").read_text(encoding="utf-8"))["class_word"]["image"]
    stock = {
        "checkpoint": prompt["checkpoint"],
        "positive": node("CLIPTextEncode", clip=["checkpoint", 1], text=PROMPTS[1].replace("{}", SUBJECTS[0].word)),
        "negative": node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
        "latent": node("EmptyLatentImage", width=128, height=128, batch_size=1),
        "sampler": node(
            "KSampler", model=["checkpoint", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=5, steps=STEPS, cfg=3.0, sampler_name="euler", scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2]),
        "picture": node("SaveImage", images=["decode", 0], filename_prefix="stock"),
    }  # fmt: skip
    (image,) = client.images(client.run(stock), "picture")
    model = small_dino(tmp_path / "small_dino.safetensors")
    with torch.inference_mode():
        own, *references = (
            model(pixel_values=pixels(picture)).last_hidden_state[:, 0] for picture in (image, *PICTURES[1:3])
        )
    # Kept latents are rounded to half precision, and 128 pixels become 518 here by the host's and there by our way.
    assert scored == pytest.approx(likeness(own, torch.cat(references)).tolist(), abs=2e-3)


def pixels(picture) -> torch.Tensor:
    planes = torch.tensor(picture).movedim(-1, 0)[None] / 255
    large = torch.nn.functional.interpolate(planes.float(), size=(518, 518), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (large - mean) / std


def test_a_stopped_scoring_goes_on_and_comes_to_the_same(client, checkpoint):
    prompt = graph(checkpoint, seed=11, image_scorer=None, images=None)
    before, pressed = n_samples(client), []

    def stop(event):
        if event["type"] == "progress" and event["data"]["value"] >= 7 * STEPS and not pressed:
            pressed.append(client.interrupt())

    with pytest.raises(InterruptedPromptError):
        client.run(prompt, stop)
    made = n_samples(client) - before
    assert 7 <= made < 4 * len(PROMPTS) * 2
    events = client.run(prompt).events
    assert n_samples(client) - before == 4 * len(PROMPTS) * 2
    # What was made counts as done from the start.
    assert next(e["data"]["value"] for e in events if e["type"] == "progress") >= 7 * STEPS
    table = newest(client, "scored_*.json")
    again = graph(checkpoint, seed=11, image_scorer=None, images=None, choose="within interval")
    report(client, again)
    first, second = (json.loads(file.read_text(encoding="utf-8")) for file in (table, newest(client, "scored_*.json")))
    assert first["embeddings"] == second["embeddings"]
    assert n_samples(client) - before == 4 * len(PROMPTS) * 2


def test_siglip_scores_text_as_the_authors_do(client, checkpoint):
    inputs = {"text_scorer": None, "image_scorer": None, "images": None, "siglip_folder": "siglip"}
    said = report(client, graph(checkpoint, own_prompts="\n".join(PROMPTS[:2]), seeds=1, **inputs))
    table = json.loads(newest(client, "scored_*.json").read_text(encoding="utf-8"))
    assert table["settings"]["text_scorer"] == "siglip, sigmoid of the logit"
    values = np.array([one["text"] for one in table["embeddings"]])
    assert values.shape == (3, 2, 1) and (values >= 0).all() and (values <= 1).all() and values.std() > 0
    assert "by the rule: the most text, as images are not scored" in said


def test_what_makes_images_a_poor_measure_is_said(client, checkpoint):
    one = graph(checkpoint, own_prompts=PROMPTS[0], seeds=1, text_scorer=None)
    one["pictures"] = node("LoadImage", image="trained_on.png")
    said = report(client, one)
    assert "All images are among those that were trained on" in said
    assert "With one image there is no telling" in said


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"image_scorer": None, "text_scorer": None}, "Nothing scores: connect image_scorer"),
        ({"siglip_folder": "siglip"}, "leave one of them empty"),
        ({"siglip_folder": "none", "text_scorer": None}, "no such folder in models/clip_vision"),
        ({"images": None}, "connect images of the subject that were not trained on"),
        ({"embedding_files": "nothing*"}, "No file in models/embeddings is called 'nothing*'"),
        ({"embedding_files": ""}, "There is no embedding to score"),
        ({"text_scorer": ["dino", 0]}, "text_scorer is not a CLIP (Dinov2Model)"),
        ({"own_prompts": "a photo of a dog"}, "own_prompts: caption 1 has 0 of '{}'"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_made(client, checkpoint, inputs, sentence):
    before = n_samples(client)
    with pytest.raises(HostError) as error:
        client.run(graph(checkpoint, seed=77, **inputs))
    assert sentence in str(error.value)
    assert n_samples(client) == before


def test_a_run_ends_with_the_choice_of_its_step(client, checkpoint):
    """Training, its saved steps scored behind it, and an image with the best, in one graph."""
    recipe = {"steps": 3, "batch_size": 1, "resolution": 64, "save_every": 1, "name": "run"}
    inputs = {"embedding_files": "run*", "embeddings": ["train", 0], "image_scorer": None, "images": None}
    prompt = train(checkpoint, "scoring", **recipe, initializer=SUBJECTS[0].word)
    prompt |= graph(checkpoint, **inputs, seeds=1, own_prompts=PROMPTS[0])
    prompt |= paint(["score", 2], steps=STEPS)
    prompt["positive"]["inputs"]["clip"] = ["score", 1]
    run = client.run(prompt)
    lines = [line.split() for line in run.outputs["score"]["text"][0].splitlines()]
    assert all(any(name in line for line in lines) for name in ("run-step1", "run-step2", "run"))
    assert client.images(run, "picture")
