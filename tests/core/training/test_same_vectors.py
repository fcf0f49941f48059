"""The training loop gives the vectors of each method written out plainly, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.training import TrainingConfig, start_method, train
from dti_core.training.data import TrainingImage, draw_batch
from tests.core.training.plain_methods import Recipe, plain_vectors
from tests.core.training.test_loop import WIDTHS, ToyDenoiser, ToyTextEncoder

PLAIN = {"DTI": "dti", "Textual Inversion": "ti", "CrossInit": "cross_init", "projected AdamW": "adamw_sphere"}


@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
@pytest.mark.parametrize("microbatch_size", [0, 3])
@pytest.mark.parametrize("method", PLAIN)
def test_vectors_are_those_of_the_plain_method(method: str, microbatch_size: int, loss_scale: float) -> None:
    mean = torch.zeros(4, 4, 6)
    images = [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    # A power of two changes no bit.
    denoiser.loss_scale = loss_scale
    word = "stuffed animal"
    states = {key: torch.ones(2, width) for key, width in WIDTHS.items()}
    config = TrainingConfig(word, steps=40, kappa=0.02, microbatch_size=microbatch_size, seed=7, method=method)
    found = train(text_encoder, denoiser, images, config, method=start_method(config, text_encoder, states))
    shared = {key: value for key, value in dataclasses.asdict(config).items() if key in Recipe.__dataclass_fields__}
    recipe = Recipe(**{**shared, "method": PLAIN[method]})
    plain = plain_vectors(text_encoder, denoiser, images, recipe, 7, word, states, draw_batch)
    for key in WIDTHS:
        assert torch.equal(found[key], plain[key])
