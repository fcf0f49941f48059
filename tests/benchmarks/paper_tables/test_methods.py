"""The methods on a toy host: what each does to its vectors."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from dti_pack.dti_core.training.backend import Conditioning
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.dti_core.vocabulary import Vocabulary
from paper_tables.methods import learn
from paper_tables.settings import Settings
from torch import Tensor

from tests.rounding import EPS32

WIDTHS = {"clip_l": 6, "clip_g": 8}


class ToyTextEncoder:
    """Context is the two encoders' vectors side by side; a word's id is its length."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vocabularies = {
            key: Vocabulary(0.1 * torch.randn((20, width), generator=generator)) for key, width in WIDTHS.items()
        }

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {key: [len(word) for word in text.split()] for key in WIDTHS}

    def encode(self, captions, vectors) -> Conditioning:
        row = torch.cat([vectors[key].mean(dim=0) for key in WIDTHS])
        return Conditioning(row.expand(len(captions), 1, -1), None)


class ToyDenoiser:
    """The loss is the distance of the context from a target as long as a word."""

    device = torch.device("cpu")
    loss_scale = 1.0

    def __init__(self, text_encoder: ToyTextEncoder, noise: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.noise = noise
        self.seen: list[Tensor] = []
        self.target = torch.cat(
            [v.mean * torch.nn.functional.normalize(torch.randn(v.dim, generator=generator), dim=0)
             for v in text_encoder.vocabularies.values()]
        )  # fmt: skip

    def sigmas(self, u: Tensor) -> Tensor:
        self.seen.append(u)
        return 0.5 + u

    def loss(self, latents, conditioning, sigma, noise, framing, weights=None) -> Tensor:
        around = self.target + self.noise * noise.flatten(1)[:, : len(self.target)]
        return (conditioning.context[:, 0] - around).square().sum(dim=-1)


@pytest.fixture
def images() -> list[TrainingImage]:
    mean = torch.zeros(4, 4, 6)
    return [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]


def trained(images, settings, noise=0.0, seed=1):
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder, noise)
    reports = []
    contextual = {key: torch.ones(1, width) for key, width in WIDTHS.items()}
    vectors = learn(
        text_encoder, denoiser, images, settings, seed, reports.append, word="dog", words=["cat", "sheep"],
        contextual=contextual,
    )  # fmt: skip
    return vectors, reports, text_encoder, denoiser


METHODS = {
    "ti": Settings("ti", steps=60, learning_rate=0.2),
    "cross_init": Settings("cross_init", steps=60, learning_rate=0.2),
    "adamw_sphere": Settings("adamw_sphere", steps=60, learning_rate=0.2),
    "dti": Settings(steps=60, kappa=0.0),
    "decay": Settings(steps=60, kappa=0.0, decay="cosine"),
    "average": Settings(steps=60, kappa=0.0, average=15),
    "stratified": Settings(steps=60, kappa=0.0, stratified=True),
    "kappa_share": Settings(steps=60, kappa_share=0.05),
    "best_word": Settings(steps=60, kappa=0.0, best_word=True),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_lowers_the_loss(name, images):
    vectors, reports, _, _ = trained(images, METHODS[name])
    assert [report.step for report in reports] == list(range(1, 61))
    assert reports[-1].loss < 0.6 * reports[0].loss
    assert {key: rows.shape for key, rows in vectors.items()} == {key: (1, width) for key, width in WIDTHS.items()}


def test_every_method_sees_the_same_batches(images):
    seen = [torch.stack(trained(images, METHODS[name])[3].seen[:60]) for name in ("ti", "adamw_sphere", "dti", "decay")]
    assert all(torch.equal(other, seen[0]) for other in seen[1:])


def test_textual_inversions_norm_grows_with_the_rate_and_the_projected_one_does_not(images):
    low, high = (trained(images, Settings("ti", steps=150, learning_rate=rate), noise=3.0)[0] for rate in (5e-3, 0.5))
    projected, _, text_encoder, _ = trained(images, Settings("adamw_sphere", steps=150, learning_rate=0.5), noise=3.0)
    for key, table in text_encoder.vocabularies.items():
        # 2.7 times.
        assert high[key].norm() > 1.5 * low[key].norm()
        assert projected[key].norm().item() == pytest.approx(table.mean, rel=8 * EPS32)


def test_the_length_in_training_is_what_was_asked_for(images):
    vectors, _, text_encoder, _ = trained(images, Settings(steps=5, magnitude="5x"))
    for key, table in text_encoder.vocabularies.items():
        assert vectors[key].norm().item() == pytest.approx(5 * table.mean, rel=8 * EPS32)


def test_averaging_and_decay_settle_nearer_to_the_target(images):
    def miss(settings):
        total = 0.0
        for seed in range(3):
            vectors, _, _, denoiser = trained(images, settings, noise=0.05, seed=seed)
            total += torch.dist(torch.cat([vectors[key][0] for key in WIDTHS]), denoiser.target).item()
        return total

    plain = Settings(steps=120, kappa=0.0, learning_rate=0.1)
    # 0.3 of it both.
    assert miss(dataclasses.replace(plain, average=40)) < 0.8 * miss(plain)
    assert miss(dataclasses.replace(plain, decay="cosine")) < 0.8 * miss(plain)


def test_stratified_levels_take_one_from_each_part(images):
    _, _, _, denoiser = trained(images, Settings(steps=5, stratified=True))
    for u in denoiser.seen:
        assert (u * 4).long().tolist() == [0, 1, 2, 3]


def test_bad_settings():
    with pytest.raises(ValueError, match="method is 'sgd'"):
        Settings("sgd")
    with pytest.raises(ValueError, match="decay is 'step'"):
        Settings(decay="step")
    with pytest.raises(ValueError, match="average is 500"):
        Settings(average=500)
