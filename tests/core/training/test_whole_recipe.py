"""Shapes, masks, room, mirror images, repeats, held-out images and a schedule in one run, stopped at every step."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.methods import Options
from dti_core.training import TrainingConfig, train
from dti_core.training.evaluation_set import EvaluationSet
from dti_core.training.repeats import with_repeats
from dti_core.training.state import load_state, save_state
from dti_core.training.validation import DRAWS, Validation, split
from tests.core.training.test_loop import ToyTextEncoder
from tests.core.training.test_mixed_shapes import CountingDenoiser, images

STEPS = 9
RECIPES = {
    "average": Options(average=4, stratified=True, caption_dropout=0.2),
    "cosine": Options(decay="cosine", decay_floor=0.1, noise_start=0.2),
}


def run(options: Options, on_step=lambda report: None, resume=None):
    """Of five images, of which two are held out, and their mirror images."""
    first, second, third = images(True)
    pictures = [first, second, third, dataclasses.replace(first, mean=first.mean.flip(1)), second]
    mirrored = [dataclasses.replace(one, mean=one.mean.flip(2), weights=one.weights.flip(1)) for one in pictures]
    trained, held_out = split(with_repeats([*pictures, *mirrored], (1, 3, 1, 5, 1)), len(pictures), 2)
    text_encoder, denoiser = ToyTextEncoder(), CountingDenoiser()
    measured = EvaluationSet(text_encoder, denoiser, held_out, DRAWS * len(held_out), options)
    validation = Validation(measured.loss, every=2)
    config = TrainingConfig("dog", steps=STEPS, batch_size=5, microbatch_size=2, options=options)
    vectors = train(text_encoder, denoiser, trained, config, on_step, resume=resume, validation=validation)
    return vectors, validation


@pytest.mark.parametrize("recipe", RECIPES)
def test_resumed_from_a_file_after_any_step(recipe, tmp_path):
    reports, sizes = [], []
    vectors, whole = run(RECIPES[recipe], reports.append)
    assert whole.steps == [0, 2, 4, 6, 8, 9] and len(set(whole.losses)) == 6
    for report in reports:
        path = tmp_path / "s.safetensors"
        save_state(report.state, path)
        sizes.append(path.stat().st_size)
        found, resumed = run(RECIPES[recipe], resume=load_state(path))
        assert all(torch.equal(found[key], rows) for key, rows in vectors.items())
        assert (resumed.steps, resumed.losses) == (whole.steps, whole.losses)
        assert resumed.best.step == whole.best.step
        assert all(torch.equal(resumed.best.vectors[key], rows) for key, rows in whole.best.vectors.items())
    # Vectors of the best step, and a few numbers for each step: a state does not grow beyond that.
    assert max(sizes) < 16_000
