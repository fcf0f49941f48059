"""The training loop on a toy host of two small encoders and a linear denoiser, whose best vectors are known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from dti_core.training import TrainingConfig, train
from dti_core.training.backend import Conditioning
from dti_core.training.data import TrainingImage
from dti_core.vocabulary import Vocabulary
from tests.rounding import EPS32

WIDTHS = {"clip_l": 6, "clip_g": 8}


class ToyTextEncoder:
    """Context is the two encoders' vectors side by side, once per caption; words are token ids."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vocabularies = {
            key: Vocabulary(0.1 * torch.randn((20, width), generator=generator)) for key, width in WIDTHS.items()
        }
        self.encoded: list[tuple[str, ...]] = []

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {key: [len(word) for word in text.split()] for key in WIDTHS}

    def encode(self, captions, vectors) -> Conditioning:
        self.encoded.append(tuple(captions))
        row = torch.cat([vectors[key].mean(dim=0) for key in WIDTHS])
        return Conditioning(row.expand(len(captions), 1, -1), row[:4].expand(len(captions), -1))


class ToyDenoiser:
    """The loss is the distance of the context from a target, so the target is the concept to be trained."""

    device = torch.device("cpu")
    loss_scale = 1.0

    def __init__(self, text_encoder: ToyTextEncoder) -> None:
        generator = torch.Generator().manual_seed(1)
        self.target = torch.cat(
            [v.mean * torch.nn.functional.normalize(torch.randn(v.dim, generator=generator), dim=0)
             for v in text_encoder.vocabularies.values()]
        )
        self.rows: list[int] = []

    def sigmas(self, u: Tensor) -> Tensor:
        return 0.5 + u

    def loss(self, latents, conditioning, sigma, noise, framing, weights=None) -> Tensor:
        self.rows.append(len(latents))
        return (conditioning.context[:, 0] - self.target).square().sum(dim=-1) + 0 * conditioning.pooled.sum(dim=-1)


@pytest.fixture
def images() -> list[TrainingImage]:
    mean = torch.zeros(4, 4, 6)
    return [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]


@pytest.fixture
def config() -> TrainingConfig:
    return TrainingConfig("dog", steps=60, learning_rate=0.05, kappa=0.0)


def run(config, images, denoiser_change=None):
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    if denoiser_change is not None:
        denoiser_change(denoiser)
    reports = []
    return train(text_encoder, denoiser, images, config, reports.append), reports, text_encoder, denoiser


def test_finds_the_target(config, images):
    vectors, reports, _, denoiser = run(config, images)
    # It circles the target at less than a step, which is 0.05 radians of 0.24 and of 0.29: 0.019 together.
    assert torch.dist(torch.cat([vectors[key][0] for key in WIDTHS]), denoiser.target) < 0.03
    assert reports[-1].loss < 0.02 * reports[0].loss
    assert [report.step for report in reports] == list(range(1, 61))


def test_length_is_the_vocabulary_mean(config, images):
    vectors, _, text_encoder, _ = run(config, images)
    for key, rows in vectors.items():
        assert rows.norm(dim=-1).item() == pytest.approx(text_encoder.vocabularies[key].mean, rel=8 * EPS32)


def test_reports_angle_and_gradient(config, images):
    _, reports, _, _ = run(config, images)
    first = reports[0]
    for key in WIDTHS:
        # The chord of 0.05 is a difference of unit vectors: an eps of theirs is 20 of its own.
        assert first.angle_to_prior[key] == pytest.approx(math.degrees(math.atan(0.05)), rel=20 * 8 * EPS32)
        assert first.data_gradient_norm[key] > 0
    assert first.moved


def test_kappa_is_held_against_the_batch_mean_gradient(config, images):
    """Neither microbatches nor a loss scale may change the strength of the prior."""
    config = dataclasses.replace(config, kappa=0.02)
    whole, _, _, _ = run(config, images)
    split, _, _, denoiser = run(dataclasses.replace(config, microbatch_size=3), images)
    scaled, _, _, _ = run(config, images, lambda denoiser: setattr(denoiser, "loss_scale", 1024.0))
    without, _, _, _ = run(dataclasses.replace(config, kappa=0.0), images)
    assert denoiser.rows[:4] == [3, 1, 3, 1]
    for key in WIDTHS:
        # Steps of a fixed length around the target carry rounding on, over 60 of them; the prior itself moves 1e-2.
        torch.testing.assert_close(split[key], whole[key], atol=60 * 2 * EPS32, rtol=0)
        torch.testing.assert_close(scaled[key], whole[key], atol=60 * 2 * EPS32, rtol=0)
        assert (without[key] - whole[key]).abs().max() > 1e-3


def test_each_distinct_caption_is_encoded_once(config, images):
    _, _, text_encoder, _ = run(dataclasses.replace(config, batch_size=8, steps=5), images)
    for captions in text_encoder.encoded:
        assert len(captions) == len(set(captions)) <= 2


def test_same_seed_same_vectors(config, images):
    def pulled_by_noise(denoiser):
        plain = denoiser.loss

        def loss(latents, conditioning, sigma, noise, framing, weights=None):
            row = conditioning.context[:, 0]
            pull = (row * noise.flatten(1)[:, : row.shape[1]]).sum(dim=-1)
            return plain(latents, conditioning, sigma, noise, framing) + pull

        denoiser.loss = loss

    first, second, other = (
        run(dataclasses.replace(config, seed=seed), images, pulled_by_noise)[0] for seed in (1, 1, 2)
    )
    for key in WIDTHS:
        # Bit for bit: the same operations on the same shapes.
        assert torch.equal(first[key], second[key])
        assert torch.dist(first[key], other[key]) > 1e-3


@pytest.mark.parametrize(("steps", "given_up_at"), [(3, 3), (60, 25)])
def test_without_a_finite_gradient_nothing_moves_and_the_run_gives_up(config, images, steps, given_up_at):
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    denoiser.target = denoiser.target * float("nan")
    reports = []
    with pytest.raises(FloatingPointError, match=f"{given_up_at} steps in a row .*step 0 is the last good one"):
        train(text_encoder, denoiser, images, dataclasses.replace(config, steps=steps), reports.append)
    assert [report.moved for report in reports] == [False] * given_up_at
    start = text_encoder.vocabularies["clip_l"].rows([3])
    # Divided by its norm, given a length, and divided again.
    torch.testing.assert_close(
        torch.nn.functional.normalize(reports[-1].vectors["clip_l"]),
        torch.nn.functional.normalize(start),
        atol=8 * EPS32,
        rtol=0,
    )


def test_an_overflowing_loss_scale_is_lowered(config, images):
    """Half precision overflows at 65504; the run goes on with smaller scales until gradients are finite again."""

    def overflow(denoiser):
        denoiser.loss_scale = 2.0**15
        plain = denoiser.loss

        def half(latents, conditioning, sigma, noise, framing, weights=None):
            losses = plain(latents, conditioning, sigma, noise, framing)
            losses.register_hook(lambda gradient: torch.where(gradient.abs() > 100, torch.inf, gradient))
            return losses

        denoiser.loss = half

    _, reports, _, _ = run(config, images, overflow)
    moved = [report.moved for report in reports]
    assert 1 < moved.index(True) < 12
    assert all(moved[moved.index(True) :])


def test_what_the_callback_raises_ends_the_run(config, images):
    def stop(report):
        if report.step == 4:
            raise KeyboardInterrupt

    text_encoder = ToyTextEncoder()
    with pytest.raises(KeyboardInterrupt):
        train(text_encoder, ToyDenoiser(text_encoder), images, config, stop)
    assert len(text_encoder.encoded) == 4


def test_several_vectors(config, images):
    vectors, _, text_encoder, _ = run(dataclasses.replace(config, initializer="red dogs", n_vectors=3, steps=1), images)
    assert vectors["clip_l"].shape == (3, 6)
    table = text_encoder.vocabularies["clip_l"]
    for row, token in zip(vectors["clip_l"], (3, 4, 3), strict=True):
        cosine = torch.nn.functional.cosine_similarity(row, table.rows([token])[0], dim=0)
        # The cosine is good to a few eps, and flat here: twice the angle would be 4e-3 away.
        assert cosine.item() == pytest.approx(math.cos(math.atan(0.05)), abs=16 * EPS32)


def test_no_images(config):
    text_encoder = ToyTextEncoder()
    with pytest.raises(ValueError, match="no images"):
        train(text_encoder, ToyDenoiser(text_encoder), [], config)


def test_unequal_sizes(config, images):
    wide = dataclasses.replace(images[0], mean=torch.zeros(4, 8, 8), std=torch.zeros(4, 8, 8))
    text_encoder = ToyTextEncoder()
    with pytest.raises(ValueError, match=r"short sides differ: \[4, 8\]"):
        train(text_encoder, ToyDenoiser(text_encoder), [*images, wide], config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"microbatch_size": -1}, "microbatch_size is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"kappa": -1e-4}, "kappa is -0.0001"),
        ({"kappa": float("nan")}, "kappa is nan"),
    ],
)
def test_bad_config(config, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **change)
