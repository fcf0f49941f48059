"""The training loop gives the vectors of Algorithm 1 written out plainly, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.training import TrainingConfig, train
from dti_core.training_data import TrainingImage, draw_batch
from tests.core.plain_methods import Recipe, plain_vectors
from tests.core.test_training import WIDTHS, ToyDenoiser, ToyTextEncoder


@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
@pytest.mark.parametrize("microbatch_size", [0, 3])
@pytest.mark.parametrize("initializer", ["dog", "stuffed animal"])
def test_dti(initializer: str, microbatch_size: int, loss_scale: float) -> None:
    mean = torch.zeros(4, 4, 6)
    images = [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    # A power of two changes no bit.
    denoiser.loss_scale = loss_scale
    config = TrainingConfig(initializer, steps=60, kappa=0.02, microbatch_size=microbatch_size, seed=7)
    found = train(text_encoder, denoiser, images, config)
    shared = {key: value for key, value in dataclasses.asdict(config).items() if key in Recipe.__dataclass_fields__}
    recipe = Recipe(**{**shared, "method": "dti"})
    plain = plain_vectors(text_encoder, denoiser, images, recipe, 7, initializer, {}, draw_batch)
    for key in WIDTHS:
        assert torch.equal(found[key], plain[key])
