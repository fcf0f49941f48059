"""The training loop gives the vectors of each method written out plainly, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.methods import Options
from dti_core.training import TrainingConfig, start_method, train
from dti_core.training.data import TrainingImage, draw_batch
from tests.core.training.plain_methods import Recipe, plain_vectors
from tests.core.training.test_loop import WIDTHS, ToyDenoiser, ToyTextEncoder

PLAIN = {"DTI": "dti", "Textual Inversion": "ti", "CrossInit": "cross_init", "projected AdamW": "adamw_sphere"}


@pytest.mark.parametrize("options", [Options(), Options(decay="cosine", decay_floor=0.2)], ids=["constant", "decay"])
@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
@pytest.mark.parametrize("microbatch_size", [0, 3])
@pytest.mark.parametrize("method", PLAIN)
def test_vectors_are_those_of_the_plain_method(
    method: str, microbatch_size: int, loss_scale: float, options: Options
) -> None:
    mean = torch.zeros(4, 4, 6)
    images = [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    # A power of two changes no bit.
    denoiser.loss_scale = loss_scale
    word = "stuffed animal"
    states = {key: torch.ones(2, width) for key, width in WIDTHS.items()}
    rate = 0.04 if method == "DTI" else 1.432
    config = TrainingConfig(
        word, steps=40, kappa=0.02, microbatch_size=microbatch_size, seed=7, method=method, options=options
    )
    found = train(text_encoder, denoiser, images, config, method=start_method(config, text_encoder, states))
    named = {**dataclasses.asdict(config), **dataclasses.asdict(options)}
    shared = {key: value for key, value in named.items() if key in Recipe.__dataclass_fields__}
    recipe = Recipe(**{**shared, "learning_rate": rate, "method": PLAIN[method]})
    plain = plain_vectors(text_encoder, denoiser, images, recipe, 7, word, states, draw_batch)
    for key in WIDTHS:
        assert torch.equal(found[key], plain[key])
