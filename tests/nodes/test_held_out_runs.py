"""Whole runs and queues that choose a step by a held-out image, with all that goes with it, stopped and broken."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.nodes.whole_runs import stop_at, whole_run  # noqa: F401

# Portrait, landscape and square, so that crops of 192 have three shapes.
SIZES = ((300, 160), (160, 320), (220, 220), (250, 150), (200, 320))
PICTURES = [
    torch.rand((*size, 3), generator=torch.Generator().manual_seed(number)) for number, size in enumerate(SIZES)
]
SMALL = [picture[:64, :64] for picture in PICTURES[:4]]
ASKED = {"held_out": 1, "validate_every": 2, "save_every": 0, "steps": 4}


def same(found, expected) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], rows) for key, rows in expected.items())


@pytest.fixture
def measured(monkeypatch, comfy_modules):
    """Losses to be told in the place of what is measured; what is asked beyond them fails."""
    from dti_pack.nodes.host.training import held_out

    told: list[float] = []
    monkeypatch.setattr(held_out.EvaluationSet, "loss", lambda self, vectors, rows: told.pop(0))
    return told


def test_all_at_once_and_stopped(whole_run, stop_at):  # noqa: F811
    """Shapes, masks, room, mirror images, repeats, an average and a schedule: Stop changes nothing of the choice."""
    from comfy.model_management import InterruptProcessingException

    masks = [torch.zeros(size) for size in SIZES]
    for mask in masks:
        mask[40:120, 30:130] = 1.0
    asked = {"steps": 6, "batch_size": 2, "resolution": 192, "crop": "keep aspect", "random_crop": 0.25}
    asked |= {"mirror": True, "schedule": "cosine", "average": 3, "held_out": 2, "validate_every": 2, "save_every": 0}
    given = {"pictures": PICTURES, "masks": masks, "repeats": (1, 2, 1, 7, 3), **asked}
    whole = whole_run("whole", **given)
    assert any("held out" in note for note in whole.notes)
    for step in (1, 5):  # before the first measurement, and between two within the average
        stop_at(step)
        with pytest.raises(InterruptProcessingException):
            whole_run(f"part_{step}", **given)
        again = whole_run(f"part_{step}", **given)
        assert again.notes[0] == f"resumed at step {step}"
        assert same(again.saved.embedding.vectors, whole.saved.embedding.vectors)
        for note in ("dti.step", "dti.validation"):
            assert again.saved.embedding.metadata[note] == whole.saved.embedding.metadata[note]
        assert again.losses == whole.losses


@pytest.mark.parametrize("in_measurement", [False, True])
def test_steps_that_come_to_nothing(whole_run, monkeypatch, in_measurement):  # noqa: F811
    """The run ends with its error; the best step so far is kept, and from the last good one it goes on."""
    from dti_pack.nodes.host.training.denoiser import HostDenoiser

    plain = whole_run("plain", SMALL, **ASKED)
    loss, trained, is_broken = HostDenoiser.loss, [], [True]

    def breaking(self, *args):
        is_training = type(self) is HostDenoiser
        trained.append(is_training)
        # One is the session's own trial, and two steps are good.
        broken = is_broken and sum(trained) > 3 and (is_training or in_measurement)
        return loss(self, *args) * (math.nan if broken else 1.0)

    monkeypatch.setattr(HostDenoiser, "loss", breaking)
    with pytest.raises(FloatingPointError, match=r"25 steps in a row .* step 2 is the last good one"):
        whole_run("dog", SMALL, **{**ASKED, "steps": 60})
    said = whole_run.shown[-1]
    assert "Step 2, of the lowest validation loss so far, is saved to" in said
    assert "To go on from step 2, press Run" in said
    is_broken.clear()
    again = whole_run("dog", SMALL, **ASKED)
    assert again.notes[0] == "resumed at step 2"
    assert same(again.saved.embedding.vectors, plain.saved.embedding.vectors)
    assert again.saved.embedding.metadata["dti.validation"] == plain.saved.embedding.metadata["dti.validation"]


@pytest.fixture
def queue(whole_run):  # noqa: F811
    """Trains two concepts, or goes on with that; for each the message, and the steps that its file says."""
    from dti_pack.nodes.concept_images.concept import Concept, images_digest
    from dti_pack.nodes.concept_queue import train_concepts

    digest = images_digest(SMALL, [], [""])
    concepts = [
        Concept(name, "cat", "object", [""], len(SMALL), lambda: (SMALL, []), digest) for name in ("rex", "mug")
    ]

    def run():
        trained = train_concepts(whole_run.settings(**ASKED), concepts, "7").trained
        return [SimpleNamespace(said=one.message, vectors=one.embedding.vectors, path=one.path) for one in trained]

    return run


def step_of(path) -> str:
    with safe_open(path, "pt") as file:
        return file.metadata()["dti.step"]


def test_a_queue_knows_a_chosen_step_again(queue, whole_run, measured):  # noqa: F811
    """An earlier one for the first, the last one for the second: each is the result, and not trained again."""
    measured += [9.0, 2.0, 3.0, 9.0, 3.0, 2.0]
    rex, mug = queue()
    assert (step_of(rex.path), step_of(mug.path), measured) == ("2", "4", [])
    last = whole_run.embeddings / "rex-step4.safetensors"
    assert f"step 4, the last, is saved to {last}" in rex.said
    assert not same(load_file(last), load_file(rex.path))
    files = whole_run.files()
    for before, again in zip((rex, mug), queue(), strict=True):
        assert again.said == f"finished before, {before.path}" and same(again.vectors, before.vectors)
    assert whole_run.files() == files
    # A step that somebody puts in the place of the result is not it.
    last.replace(rex.path)
    measured += [9.0, 2.0, 3.0]
    again, other = queue()
    assert again.path.name == "rex_2.safetensors" and same(again.vectors, rex.vectors)
    assert other.said.startswith("finished before")


def test_stop_in_a_measurement_of_a_queue(queue, whole_run, monkeypatch):  # noqa: F811
    """Of the second concept: the first is finished, and the second goes on from the step before."""
    import comfy.model_management
    from dti_pack.nodes.host.training import held_out

    whole = queue()
    for file in whole_run.embeddings.iterdir():
        file.unlink()
    passes, loss = [], held_out.InterruptibleDenoiser.loss
    a_run = len(range(0, ASKED["steps"] + 1, ASKED["validate_every"])) * held_out.DRAWS

    def counted(self, *args):
        passes.append(1)
        if len(passes) == a_run + held_out.DRAWS + 3:  # in what is measured after step 2
            comfy.model_management.interrupt_current_processing()
        return loss(self, *args)

    monkeypatch.setattr(held_out.InterruptibleDenoiser, "loss", counted)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        queue()
    assert len(passes) == a_run + held_out.DRAWS + 3
    assert "Stopped. 1 of 2 concepts are trained: rex." in whole_run.shown[-1]
    rex, mug = queue()
    assert rex.said.startswith("finished before") and "\nresumed at step 1" in mug.said
    for found, expected in zip((rex, mug), whole, strict=True):
        assert same(found.vectors, expected.vectors) and step_of(found.path) == step_of(expected.path)
