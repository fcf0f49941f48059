"""Images of different shapes in one batch: the result is that of their mean, however they go through the network."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.training import TrainingConfig, train
from dti_core.training.data import TrainingImage, draw_batch
from dti_core.training.evaluation_set import SEED, EvaluationSet
from tests.core.training.test_loop import WIDTHS, ToyTextEncoder
from tests.core.training.test_masks import PixelDenoiser
from tests.rounding import EPS32

SHAPES = ((4, 6), (6, 4), (5, 5))
STEPS = 12


def images(masked: bool) -> list[TrainingImage]:
    """Each with room for its crops on one side."""
    generator = torch.Generator().manual_seed(2)
    out = []
    for rows, columns in SHAPES:
        mean = torch.randn((4, rows + 2, columns), generator=generator)
        weights = torch.rand(mean.shape[1:], generator=generator) if masked else None
        size = (10 * rows, 10 * columns)
        out.append(TrainingImage(mean, 0.1 * torch.ones_like(mean), size, ("a {}", "the {}"), 8, weights))
    return [dataclasses.replace(image, window=shape) for image, shape in zip(out, SHAPES, strict=True)]


class CountingDenoiser(PixelDenoiser):
    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def loss(self, latents, conditioning, sigma, noise, framing, weights=None):
        assert (framing[:, 4:] == 8 * torch.tensor(latents.shape[-2:])).all()
        self.shapes.append(tuple(latents.shape))
        return super().loss(latents, conditioning, sigma, noise, framing, weights)


@pytest.mark.parametrize("masked", [False, True])
def test_passes_change_nothing_but_rounding(masked):
    def trained(microbatch_size):
        denoiser, losses = CountingDenoiser(), []
        config = TrainingConfig("dog", steps=STEPS, batch_size=8, kappa=0.0, microbatch_size=microbatch_size)
        vectors = train(ToyTextEncoder(), denoiser, images(masked), config, lambda report: losses.append(report.loss))
        assert {shape[2:] for shape in denoiser.shapes} == set(SHAPES)
        return torch.cat([vectors[key][0] for key in WIDTHS]), losses, denoiser.shapes

    whole, losses, shapes = trained(0)
    # Each shape in one pass, and all of it.
    assert len(shapes) == STEPS * len(SHAPES) and sum(shape[0] for shape in shapes) == 8 * STEPS
    for size in (1, 2, 3):
        split, same, shapes = trained(size)
        assert max(shape[0] for shape in shapes) <= size
        # Steps of a fixed length carry rounding on, over 12 of them.
        torch.testing.assert_close(split, whole, atol=STEPS * 8 * EPS32, rtol=0)
        assert same == pytest.approx(losses, rel=1e-4)


def test_each_image_counts_the_same_whatever_its_size():
    """The loss of a step is the mean over images, not over latents."""
    text_encoder, denoiser = ToyTextEncoder(), CountingDenoiser()
    rows = {key: vocabulary.rows([3]) for key, vocabulary in text_encoder.vocabularies.items()}
    batch = draw_batch(images(False), 12, torch.Generator().manual_seed(SEED))
    u, one_by_one = (torch.arange(12) + 0.5) / 12, []
    for one in batch.passes(1, denoiser.device):
        conditioning = text_encoder.encode(["a {}"], rows)
        sigma = denoiser.sigmas(u[one.rows])
        one_by_one.append(float(denoiser.loss(one.latents, conditioning, sigma, one.noise, one.framing)))
    together = EvaluationSet(text_encoder, denoiser, images(False), size=12).loss(rows)
    assert together == pytest.approx(sum(one_by_one) / 12, rel=16 * EPS32)
    assert max(one_by_one) > 1.05 * min(one_by_one)
