"""The command from end to end: a small SDXL of random weights, two subjects, two steps, two prompts."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dti_pack.dti_core.files.embedding_file import load_embedding
from PIL import Image

from benchmarks.dreambooth.__main__ import main
from benchmarks.dreambooth.judges import ImageJudge, TextJudge
from benchmarks.dreambooth.making import make_images
from benchmarks.dreambooth.protocol import ROWS, Protocol
from benchmarks.dreambooth.results import Results
from benchmarks.dreambooth.subjects import find_subjects
from benchmarks.small_checkpoints import random_checkpoint
from comfy_host.environment import REPO, comfyui_tree, given_interpreter
from comfy_host.process import host_variables
from tests.benchmarks.dreambooth.tiny_judges import write_subjects

TRIAL = {"steps": 2, "batch_size": 2, "resolution": 64, "size": 64, "prompts": 2, "seeds": 2, "sampling_steps": 2}
PYTHON = given_interpreter() or Path(sys.executable)


@pytest.fixture(scope="module")
def place(tmp_path_factory, dino, siglip):
    """Everything that a run needs, and the folder `run`."""
    folder = tmp_path_factory.mktemp("dreambooth")
    write_subjects(folder / "images")
    random_checkpoint(comfyui_tree(), PYTHON, folder / "sdxl.safetensors")
    return SimpleNamespace(folder=folder, run=folder / "run", dino=dino, siglip=siglip)


def command(place, *more):
    """Its exit status, with all that it said."""
    options = ["--checkpoint", str(place.folder / "sdxl.safetensors"), "--images", str(place.folder / "images")]
    options += ["--comfyui", str(comfyui_tree()), "--device", "cpu"]
    options += [text for name, value in TRIAL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    line = [str(PYTHON), "-m", "benchmarks.dreambooth", str(place.run), *options, *more]
    result = subprocess.run(line, cwd=REPO, env=host_variables(), capture_output=True, text=True, errors="replace")
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def done(place):
    """After one whole run."""
    status, said = command(place, "--dino", str(place.dino), "--siglip", str(place.siglip), "--methods", *ROWS)
    assert status == 0, said
    return place


def scores_of(place, subject, row):
    return json.loads((place.run / "scores" / subject / f"{row}.json").read_text(encoding="utf-8"))["images"]


def test_a_run_leaves_trainings_images_scores_and_a_table(done):
    vectors = {
        method: load_embedding(done.run / "trainings" / "dog" / f"{method}.safetensors")
        for method in ("textual-inversion", "crossinit", "dti")
    }
    rates = {method: embedding.metadata["dti.learning_rate"] for method, embedding in vectors.items()}
    # AdamW's in coordinates of a word, DTI's an angle.
    assert rates == {"textual-inversion": "1.432", "crossinit": "1.432", "dti": "0.04"}
    assert all(embedding.metadata["dti.seed"] == "42" for embedding in vectors.values())
    images = {
        row: np.stack([np.asarray(Image.open(file)) for file in sorted((done.run / "images/dog" / row).rglob("*.png"))])
        for row in ROWS
    }
    assert {pixels.shape for pixels in images.values()} == {(4, 64, 64, 3)}
    for row in list(ROWS)[1:]:  # each row's embedding, or the word, is in its images
        assert (images[row] != images["ti"]).any()
    first, second = images["dti"][:2]
    assert (first != second).any()
    text = (done.run / "report.md").read_text(encoding="utf-8")
    assert "2 subjects\n" in text and "| DTI - TI |" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| DTI |")]
    means = {
        name: np.mean(
            [np.mean([read(score) for score in scores_of(done, subject, "dti")]) for subject in ("berry_bowl", "dog")]
        )
        for name, read in {
            "image": lambda score: score["image"],
            "logit": lambda score: score["logit"],
            "probability": lambda score: 1 / (1 + math.exp(-score["logit"])),
        }.items()
    }
    cells = [cell.split()[0] for cell in line.strip("| ").split(" | ")]
    assert cells[1:4] == [f"{means[name]:.3f}" for name in ("image", "logit", "probability")]


def test_scores_are_of_the_files(done):
    """What a score says, asked again of its image, its references and its text."""
    references = [Image.open(file) for file in sorted((done.folder / "images" / "berry_bowl").iterdir())]
    image_judge, text_judge = ImageJudge(done.dino), TextJudge(done.siglip)
    known = image_judge.features(references)
    names = {"a {} in the jungle": "01_a_bowl_in_the_jungle.png", "a {} in the snow": "02_a_bowl_in_the_snow.png"}
    scores = scores_of(done, "berry_bowl", "dti")
    assert sorted((score["prompt"], score["seed"]) for score in scores) == [(p, s) for p in names for s in (0, 1)]
    for score in scores:
        image = Image.open(done.run / "images/berry_bowl/dti" / str(score["seed"]) / names[score["prompt"]])
        cosines = image_judge.features([image]) @ known.T
        assert score["image"] == pytest.approx(float(cosines.mean()), abs=1e-5)
        logit = text_judge.logits([image], [score["prompt"].replace("{}", "bowl") + "."])
        assert score["logit"] == pytest.approx(float(logit), abs=1e-4)


def test_it_goes_on_where_it_stopped(done):
    """Only what is gone is made again, as it was; masks add a column, and the scores that it needs."""
    lost = done.run / "images/dog/dti/1/02_a_dog_in_the_snow.png"
    before = np.asarray(Image.open(lost)).astype(int)
    kept = [file for part in ("images", "trainings") for file in (done.run / part).rglob("*.*") if file != lost]
    times = {file: file.stat().st_mtime_ns for file in kept}
    lost.unlink()
    for picture in (done.folder / "images").glob("*/*.png"):
        mask = done.folder / "masks" / picture.parent.name / picture.name
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 64), 128, dtype=np.uint8)).save(mask)
    old = scores_of(done, "dog", "dti")
    judges = ["--dino", str(done.dino), "--siglip", str(done.siglip), "--masks", str(done.folder / "masks")]
    status, said = command(done, *judges)
    assert status == 0, said
    assert "To do: 0 trainings, 1 images" in said
    assert times == {file: file.stat().st_mtime_ns for file in kept}
    # Alone instead of beside another, an image may be rounded differently.
    assert np.abs(np.asarray(Image.open(lost)).astype(int) - before).max() <= 2
    assert not list(done.run.rglob("*.partial"))
    new = scores_of(done, "dog", "dti")
    assert [score["image"] for score in new] == pytest.approx([score["image"] for score in old], abs=1e-2)
    assert all(abs(score["image_masked"] - score["image"]) > 1e-4 for score in new)
    assert "Image, masked" in (done.run / "report.md").read_text(encoding="utf-8")


def test_what_does_not_belong_together_is_refused(done, tmp_path):
    """Before the checkpoint is loaded; what is there stays."""
    checkpoint, protocol = done.folder / "sdxl.safetensors", Protocol(**TRIAL)
    with pytest.raises(ValueError, match=r"was begun with steps 2, not 3\. Use the same, or name another folder"):
        Results(done.run, replace(protocol, steps=3), checkpoint)
    with pytest.raises(ValueError, match="is not empty and not the folder of a run"):
        Results(done.folder, protocol, checkpoint)
    results = Results(shutil.copytree(done.run, tmp_path / "run"), protocol, checkpoint)
    subjects = find_subjects(done.folder / "images")
    with pytest.raises(ValueError, match="was trained on other images than dog has now"):
        make_images(results, pytest.fail, [replace(subjects[1], pictures=subjects[0].pictures)], ["dti"], 1)
    (tmp_path / "run" / "trainings" / "dog" / "dti.safetensors").unlink()
    with pytest.raises(ValueError, match="has images, but what was trained for them by DTI is gone"):
        make_images(results, pytest.fail, subjects, ["dti"], 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--checkpoint", "nowhere"], "nowhere is not there"),
        (["--dino", "folder"], "Give both --dino and --siglip"),
        (["--score-only"], "--score-only needs"),
        (["--device", "gpu"], "--device is 'gpu'; give cpu, cuda"),
        (["--size", "100"], "size is 100; give a multiple of 8"),
    ],
)
def test_wrong_options_are_refused_first(tmp_path, wrong, said):
    (tmp_path / "file").touch()
    right = [str(tmp_path / "run"), "--checkpoint", str(tmp_path / "file"), "--images", str(tmp_path)]
    with pytest.raises(SystemExit, match=said):
        main([*right, *wrong])
    assert not (tmp_path / "run").exists()
