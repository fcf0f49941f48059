"""Batches: crops, framing, captions, posterior samples."""

from __future__ import annotations

import pytest
import torch

from dti_core.methods import Options
from dti_core.training.data import TrainingImage, draw_batch


def image(height: int, width: int, fill: float = 0.0, std: float = 0.0) -> TrainingImage:
    columns = torch.arange(float(width)).expand(4, height, width) + fill
    return TrainingImage(columns, torch.full_like(columns, std), (height * 20, width * 20), (f"a {fill} {{}}",))


def test_crops_are_square_and_framed_in_pixels():
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch([image(4, 9)], 32, generator)
    assert batch.latents.shape == batch.noise.shape == (32, 4, 4, 4)
    left = batch.latents[:, 0, 0, 0]
    assert set(left.tolist()) == {0, 1, 2, 3, 4, 5}
    for row, offset in zip(batch.framing.tolist(), left.tolist(), strict=True):
        assert row == [80, 180, 0, 8 * offset, 32, 32]


def test_pictures_are_drawn_evenly_and_with_their_captions():
    generator = torch.Generator().manual_seed(0)
    pictures = [image(4, 4, fill) for fill in (10.0, 20.0, 30.0)]
    for _ in range(20):
        batch = draw_batch(pictures, 5, generator)
        drawn = batch.latents[:, 0, 0, 0].tolist()
        assert sorted(drawn[:3]) == [10.0, 20.0, 30.0]
        assert len(set(drawn[3:])) == 2
        assert batch.captions == tuple(f"a {fill} {{}}" for fill in drawn)


def test_posterior_is_sampled_anew():
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch([image(16, 16, std=2.0)], 8, generator)
    residual = batch.latents - torch.arange(16.0)
    # Of 8192 draws the mean has an error of 0.022 and the deviation of 0.016.
    assert abs(residual.mean().item()) < 0.1
    assert abs(residual.std().item() - 2) < 0.1
    assert not torch.equal(batch.latents[0], batch.latents[1])


def test_same_generator_same_batch():
    first, second = (draw_batch([image(4, 9, std=1.0)], 6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.noise, second.noise)
    assert torch.equal(first.u, second.u)
    assert 0 <= first.u.min() and first.u.max() < 1


@pytest.mark.parametrize("stratified", [False, True])
def test_noise_levels_stay_in_the_range_and_fill_it(stratified):
    """In the host's percent 0 is the noisiest; u, as the denoiser takes it, is the other way round."""
    generator = torch.Generator().manual_seed(0)
    options = Options(noise_start=0.25, noise_end=0.75, stratified=stratified)
    batches = [draw_batch([image(4, 4)], 4, generator, options).u for _ in range(200)]
    u = torch.cat(batches)
    assert 0.25 <= u.min() and u.max() < 0.75
    # 800 draws over 5 parts: 160 each, with a deviation of 11.
    counts = torch.histc(u, bins=5, min=0.25, max=0.75)
    assert (counts - 160).abs().max() < 60
    parts = [((u - 0.25) * 8).long().tolist() == [0, 1, 2, 3] for u in batches]
    assert all(parts) if stratified else not all(parts)


def test_the_ends_of_the_range_are_the_noisy_and_the_clean_one():
    noisy, clean = (
        draw_batch([image(4, 4)], 64, torch.Generator().manual_seed(0), options).u
        for options in (Options(noise_end=0.25), Options(noise_start=0.75))
    )
    assert noisy.min() >= 0.75
    assert clean.max() < 0.25


def test_a_range_draws_the_same_images_captions_and_noise():
    whole, part = (
        draw_batch([image(4, 9, std=1.0)], 6, torch.Generator().manual_seed(3), options)
        for options in (Options(), Options(noise_start=0.4, stratified=True))
    )
    assert torch.equal(whole.latents, part.latents)
    assert torch.equal(whole.noise, part.noise)
    assert whole.captions == part.captions


@pytest.mark.parametrize("options", [Options(), Options(stratified=True), Options(noise_end=0.5)])
def test_rounding_never_reaches_beyond_the_schedule(monkeypatch, options):
    """The largest float32 below 1, scaled or moved by less than it can show, is 1: a level that no schedule has."""
    monkeypatch.setattr(torch, "rand", lambda size, generator: torch.full((size,), 1 - 2**-24))
    assert draw_batch([image(4, 4)], 4, torch.Generator(), options).u.max() < 1


def test_dropped_captions_are_the_embedding_alone():
    def captions(share):
        generator = torch.Generator().manual_seed(0)
        options = Options(caption_dropout=share)
        return [text for _ in range(50) for text in draw_batch([image(4, 4)], 8, generator, options).captions]

    assert set(captions(0.0)) == {"a 0.0 {}"}
    assert set(captions(1.0)) == {"{}"}
    # A share of 400 draws has a deviation of 0.022.
    assert abs(captions(0.25).count("{}") / 400 - 0.25) < 0.1


def test_dropping_captions_changes_nothing_else_of_a_batch():
    whole, dropped = (
        draw_batch([image(4, 9, std=1.0)], 6, torch.Generator().manual_seed(3), options)
        for options in (Options(), Options(caption_dropout=1.0))
    )
    assert torch.equal(whole.latents, dropped.latents)
    assert torch.equal(whole.noise, dropped.noise)
    assert torch.equal(whole.u, dropped.u)
