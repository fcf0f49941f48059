"""What the tables were made of comes out again bit for bit, so that stored results stay what they say they are."""

from __future__ import annotations

import pytest
import torch
from dti_pack.dti_core.training.data import TrainingImage, draw_batch
from paper_tables.methods import learn
from paper_tables.settings import Settings

from tests.benchmarks.paper_tables.test_methods import WIDTHS, ToyDenoiser, ToyTextEncoder
from tests.core.training.plain_methods import Recipe, plain_vectors

# Every method, and every option that the tables use.
SETTINGS = {
    "ti": Settings("ti", steps=40, learning_rate=1.432),
    "cross_init": Settings("cross_init", steps=40, learning_rate=1.432),
    "adamw_sphere": Settings("adamw_sphere", steps=40, learning_rate=1.432),
    "dti": Settings(steps=40),
    "kappa": Settings(steps=40, kappa=0.02),
    "least": Settings(steps=40, magnitude="min"),
    "own length": Settings(steps=40, magnitude="initializer"),
    "12 means": Settings(steps=40, magnitude="12x"),
    "cosine": Settings(steps=40, decay="cosine"),
    "linear": Settings(steps=40, decay="linear"),
    "average": Settings(steps=40, average=10),
    "stratified": Settings(steps=40, stratified=True),
    "floor": Settings(steps=40, decay="cosine", decay_floor=0.1),
    "kappa_share": Settings(steps=40, kappa_share=0.05),
    "all at once": Settings(
        steps=60, magnitude="5x", decay="cosine", average=15, stratified=True, kappa_share=0.05
    ),
}


@pytest.mark.parametrize("word", ["dog", "stuffed animal"])
@pytest.mark.parametrize("name", SETTINGS)
def test_vectors_are_those_of_the_plain_method(name: str, word: str) -> None:
    settings = SETTINGS[name]
    mean = torch.zeros(4, 4, 6)
    images = [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]
    states = {key: torch.ones(len(word.split()), width) for key, width in WIDTHS.items()}
    text_encoder = ToyTextEncoder()

    found = learn(
        text_encoder, ToyDenoiser(text_encoder, 0.3), images, settings, 7, word=word, contextual=states
    )  # fmt: skip
    shared = {key: value for key, value in vars(settings).items() if key in Recipe.__dataclass_fields__}
    shared["learning_rate"] = settings.rate
    recipe = Recipe(**shared, statistic=settings.magnitude_statistic, factor=settings.magnitude_factor)
    plain = plain_vectors(text_encoder, ToyDenoiser(text_encoder, 0.3), images, recipe, 7, word, states, draw_batch)
    for key in WIDTHS:
        assert torch.equal(found[key], plain[key])
