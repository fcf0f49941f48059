"""Masks: how they become weights of the loss, where they crop, and what the loop makes of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.training import TrainingConfig, data, train
from dti_core.training.backend import Conditioning
from dti_core.training.data import TrainingImage, draw_batch
from dti_core.training.evaluation_set import EvaluationSet
from dti_core.training.masks import check_masks, loss_weights, subject_crops
from dti_core.training.objective import per_sample_mse
from tests.core.training.test_loop import WIDTHS, ToyTextEncoder
from tests.rounding import EPS32

PICTURE = torch.zeros(96, 128, 3)


class PixelDenoiser:
    """Predicts every latent as a number that the context gives, another one for each column."""

    device = torch.device("cpu")
    loss_scale = 1.0

    def sigmas(self, u):
        return 0.5 + u

    def loss(self, latents, conditioning, sigma, noise, framing, weights=None):
        predicted = torch.tanh(3 * conditioning.context[:, 0, : latents.shape[-1]])
        return per_sample_mse(predicted[:, None, None, :] - latents - 0.1 * noise, weights)


def halves(left: float, right: float, height: int = 64, width: int = 64) -> torch.Tensor:
    mask = torch.full((height, width), left)
    mask[:, width // 2 :] = right
    return mask


def test_weights_are_the_mean_of_the_pixels_behind_a_latent():
    mask = torch.zeros(64, 64)
    mask[:, :20] = 1
    weights = loss_weights(mask, (8, 8), 0.2)
    # Two latents and a half: 0.2 + 0.8 / 2.
    expected = torch.tensor([1.0, 1.0, 0.6, 0.2, 0.2, 0.2, 0.2, 0.2]).expand(8, 8)
    torch.testing.assert_close(weights, expected, rtol=0, atol=4 * EPS32)
    assert torch.equal(loss_weights(mask, (8, 8), 1.0), torch.ones(8, 8))


@pytest.mark.parametrize("size", [(8, 11), (96, 128), (40, 30)])
def test_weights_fit_any_size_of_latents(size):
    """Also where the image is enlarged, or where a latent is no whole number of pixels."""
    weights = loss_weights(halves(1.0, 0.0, 60, 80), size, 0.1)
    assert weights.shape == size
    assert weights[0, 0] == pytest.approx(1.0) and weights[-1, -1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([torch.ones(96, 128)], "got 1 masks for 2 images; give one for each image"),
        ([torch.ones(96, 128), torch.zeros(96, 128)], "mask 2 is 0 everywhere.*Invert Mask"),
        ([torch.ones(96, 128), torch.zeros(64, 64)], "mask 2 is 0 everywhere"),
        ([torch.ones(96, 128), torch.ones(128, 96)], "mask 2 is 96 x 128 and image 2 is 128 x 96 pixels"),
        ([torch.ones(1, 96, 128)] * 2, r"mask 1 has the shape \(1, 96, 128\)"),
        ([torch.full((96, 128), 255.0)] * 2, "mask 1 holds values from 255 to 255; a mask goes from 0 to 1"),
        ([torch.full((96, 128), torch.nan)] * 2, "mask 1 holds values that are not numbers"),
    ],
)
def test_what_is_no_mask_of_the_images_is_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        check_masks(masks, [PICTURE] * 2, 0.1)


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_background_weight(weight):
    with pytest.raises(ValueError, match=f"background_weight is {weight}"):
        check_masks([], [PICTURE], weight)


def test_no_masks_are_none_for_any_number_of_images():
    check_masks([], [PICTURE] * 3, 0.1)


def test_a_weighted_mean_is_over_the_sum_of_the_weights():
    error = torch.randn((3, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    plain = per_sample_mse(error)
    weights = torch.zeros(3, 1, 8, 8)
    weights[..., :2] = 0.25
    left = per_sample_mse(error[..., :2])
    # Means of up to 256 squares, in another order.
    torch.testing.assert_close(per_sample_mse(error, weights), left, rtol=16 * EPS32, atol=0)
    torch.testing.assert_close(per_sample_mse(error, torch.full((3, 1, 8, 8), 0.3)), plain, rtol=16 * EPS32, atol=0)


def test_crops_show_the_subject():
    """A wide image whose subject fills its right third: crops without half of what can be shown are not drawn."""
    weights = torch.full((6, 18), 0.1)
    weights[:, 12:] = 1.0
    assert subject_crops(weights, (6, 6)).nonzero().tolist() == [[0, left] for left in (9, 10, 11, 12)]
    assert subject_crops(weights.T.contiguous(), (6, 6)).nonzero().tolist() == [[top, 0] for top in (9, 10, 11, 12)]
    assert subject_crops(torch.ones(6, 18), (6, 6)).all()
    image = TrainingImage(torch.zeros(4, 6, 18), torch.ones(4, 6, 18), (48, 144), ("a {}",), 8, weights)
    batch = draw_batch([image], 64, torch.Generator().manual_seed(0))
    assert set(batch.framing[:, 3].tolist()) == {72, 80, 88, 96}
    assert batch.weights is not None and {drawn.shape for drawn in batch.weights} == {(1, 6, 6)}
    for left, drawn in zip((batch.framing[:, 3] // 8).tolist(), batch.weights, strict=True):
        assert torch.equal(drawn[0], weights[:, left : left + 6])


def test_crops_with_room_on_both_sides_show_the_subject():
    """It lies in two corners: a crop that takes its top from one and its left from the other shows neither."""
    weights = torch.full((12, 12), 0.1)
    weights[:4, :4] = weights[8:, 8:] = 1.0
    image = TrainingImage(torch.zeros(4, 12, 12), torch.ones(4, 12, 12), (96, 96), ("a {}",), 8, weights, (6, 5))
    batch = draw_batch([image], 64, torch.Generator().manual_seed(0))
    assert batch.weights is not None and {drawn.shape for drawn in batch.weights} == {(1, 6, 5)}
    # At least half of the 16 that the best crops show.
    assert all((drawn == 1).sum() >= 8 for drawn in batch.weights)
    assert {tuple(row) for row in (batch.framing[:, 2:4] // 8 > 3).tolist()} == {(False, False), (True, True)}


def test_where_the_subject_shows_is_looked_for_once(monkeypatch):
    """With room around the crops of a large image it takes as long as a step."""
    looked = []
    monkeypatch.setattr(data, "subject_crops", lambda *given: (looked.append(given), subject_crops(*given))[1])
    image = TrainingImage(torch.zeros(4, 9, 9), torch.ones(4, 9, 9), (72, 72), ("a {}",), 8, torch.eye(9), (6, 5))
    for seed in range(3):
        draw_batch([image], 4, torch.Generator().manual_seed(seed))
    assert len(looked) == 1
    assert dataclasses.replace(image, weights=torch.ones(9, 9)).corners.all() and len(looked) == 2


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(2)
    shape = (4, 8, 12)
    return [
        TrainingImage(torch.randn(shape, generator=generator), 0.1 * torch.ones(shape), (64, 96), ("a {}", "the {}"))
        for _ in range(3)
    ]


def with_weights(images, weights):
    return [dataclasses.replace(image, weights=weights) for image in images]


def trained(images, **settings):
    losses: list[float] = []
    config = TrainingConfig("dog", steps=12, kappa=0.0, **settings)
    vectors = train(ToyTextEncoder(), PixelDenoiser(), images, config, lambda report: losses.append(report.loss))
    return torch.cat([vectors[key][0] for key in WIDTHS]), losses


def test_equal_weights_change_nothing(images):
    plain, losses = trained(images)
    even, same = trained(with_weights(images, torch.full((8, 12), 0.5)))
    # Steps of a fixed length carry rounding on, over 12 of them.
    torch.testing.assert_close(even, plain, atol=12 * 8 * EPS32, rtol=0)
    assert same == pytest.approx(losses, rel=1e-4)
    masked, others = trained(with_weights(images, halves(1.0, 0.1, 8, 12)))
    assert torch.dist(masked, plain) > 1e-2
    assert others[0] != pytest.approx(losses[0], rel=1e-2)


def test_microbatches_take_their_own_weights(images):
    several = [dataclasses.replace(image, weights=halves(1.0, 0.1 * n, 8, 12)) for n, image in enumerate(images)]
    whole, losses = trained(several)
    split, same = trained(several, microbatch_size=3)
    torch.testing.assert_close(split, whole, atol=12 * 8 * EPS32, rtol=0)
    assert same == pytest.approx(losses, rel=1e-4)


def test_the_gradient_is_that_of_the_weighted_loss(images):
    """Central differences in float64, where a step of 1e-5 leaves about 1e-10 of either error."""
    batch = draw_batch(with_weights(images, halves(1.0, 0.2, 8, 12)), 3, torch.Generator().manual_seed(0))
    (one,) = batch.passes(3, PixelDenoiser.device)
    denoiser, context = PixelDenoiser(), torch.linspace(-0.2, 0.3, 8, dtype=torch.float64)

    def loss(values, weights):
        conditioning = Conditioning(values.expand(3, 1, 8), None)
        given = (one.latents.double(), conditioning, batch.u, one.noise.double(), one.framing)
        return denoiser.loss(*given, weights).mean()

    def gradient(weights):
        leaf = context.clone().requires_grad_()
        loss(leaf, weights).backward()
        return leaf.grad

    weights = one.weights.double()
    steps = 1e-5 * torch.eye(8, dtype=torch.float64)
    differences = torch.stack([loss(context + step, weights) - loss(context - step, weights) for step in steps]) / 2e-5
    torch.testing.assert_close(gradient(weights), differences, rtol=1e-7, atol=1e-9)
    assert (gradient(None) - differences).abs().max() > 1e-3


def test_the_evaluation_set_weighs_too(images):
    text_encoder = ToyTextEncoder()
    rows = {key: vocabulary.rows([3]) for key, vocabulary in text_encoder.vocabularies.items()}
    plain, masked = (
        EvaluationSet(text_encoder, PixelDenoiser(), given).loss(rows)
        for given in (images, with_weights(images, halves(1.0, 0.0, 8, 12)))
    )
    assert masked != pytest.approx(plain, rel=1e-3)


def test_masks_for_some_images_only(images):
    mixed = [*images[:2], *with_weights(images[2:], torch.ones(8, 12))]
    with pytest.raises(ValueError, match="masks for all images, or none"):
        trained(mixed)
