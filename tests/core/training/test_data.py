"""Batches: crops, framing, captions, posterior samples."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.methods import Options
from dti_core.training.captions import behind_zeros
from dti_core.training.data import Batch, TrainingImage, draw_batch


def image(height: int, width: int, fill: float = 0.0, std: float = 0.0) -> TrainingImage:
    columns = torch.arange(float(width)).expand(4, height, width) + fill
    return TrainingImage(columns, torch.full_like(columns, std), (height * 20, width * 20), (f"a {fill} {{}}",))


def same_drawings(first: Batch, second: Batch) -> bool:
    pairs = zip(first.latents + first.noise, second.latents + second.noise, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_crops_are_square_and_framed_in_pixels():
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch([image(4, 9)], 32, generator)
    (drawn,) = batch.passes(32, torch.device("cpu"))
    assert drawn.latents.shape == drawn.noise.shape == (32, 4, 4, 4)
    left = drawn.latents[:, 0, 0, 0]
    assert set(left.tolist()) == {0, 1, 2, 3, 4, 5}
    for row, offset in zip(batch.framing.tolist(), left.tolist(), strict=True):
        assert row == [80, 180, 0, 8 * offset, 32, 32]


def test_pictures_are_drawn_evenly_and_with_their_captions():
    generator = torch.Generator().manual_seed(0)
    pictures = [image(4, 4, fill) for fill in (10.0, 20.0, 30.0)]
    for _ in range(20):
        batch = draw_batch(pictures, 5, generator)
        drawn = [float(latents[0, 0, 0]) for latents in batch.latents]
        assert sorted(drawn[:3]) == [10.0, 20.0, 30.0]
        assert len(set(drawn[3:])) == 2
        assert batch.captions == tuple(f"a {fill} {{}}" for fill in drawn)


def test_posterior_is_sampled_anew():
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch([image(16, 16, std=2.0)], 8, generator)
    residual = torch.stack(batch.latents) - torch.arange(16.0)
    # Of 8192 draws the mean has an error of 0.022 and the deviation of 0.016.
    assert abs(residual.mean().item()) < 0.1
    assert abs(residual.std().item() - 2) < 0.1
    assert not torch.equal(batch.latents[0], batch.latents[1])


def test_same_generator_same_batch():
    first, second = (draw_batch([image(4, 9, std=1.0)], 6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert same_drawings(first, second)
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
    assert same_drawings(whole, part)
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
    assert same_drawings(whole, dropped)
    assert torch.equal(whole.u, dropped.u)


def test_captions_move_back_by_zeros():
    """As many as the whole part of an exponential number: none in 1 - exp(-1/2) of the draws for a mean of 2."""

    def batches(zero_pad):
        generator = torch.Generator().manual_seed(0)
        return [draw_batch([image(4, 9, std=1.0)], 8, generator, Options(zero_pad=zero_pad)) for _ in range(100)]

    captions = [text for batch in batches(2.0) for text in batch.captions]
    # A share of 800 draws has a deviation of 0.018.
    for count, share in ((0, 0.393), (1, 0.239), (2, 0.145)):
        assert abs(captions.count(behind_zeros("a 0.0 {}", count)) / 800 - share) < 0.08
    far = {text for batch in batches(1e9) for text in batch.captions}
    assert far == {"{zeros:15}a 0.0 {}"}
    plain, moved = batches(0.0)[0], batches(2.0)[0]
    assert same_drawings(plain, moved) and torch.equal(plain.u, moved.u)
    assert set(plain.captions) == {"a 0.0 {}"}


def test_crops_of_other_shapes_are_framed_in_pixels():
    """A window of 4 x 6 latents in 5 x 9: both its top and its left are drawn."""
    wide = dataclasses.replace(image(5, 9), window=(4, 6))
    batch = draw_batch([wide], 64, torch.Generator().manual_seed(0))
    assert {latents.shape for latents in batch.latents} == {(4, 4, 6)}
    assert {(top, left) for _, _, top, left, _, _ in batch.framing.tolist()} == {
        (8 * top, 8 * left) for top in (0, 1) for left in (0, 1, 2, 3)
    }
    for (height, width, _, left, *target), latents in zip(batch.framing.tolist(), batch.latents, strict=True):
        assert (height, width, *target) == (100, 180, 32, 48)
        assert latents[0, 0, 0] == left / 8


def test_passes_are_of_one_shape_and_hold_each_sample_once():
    shapes = [image(4, 4, 100.0), dataclasses.replace(image(4, 6, 200.0), window=(4, 6)), image(4, 4, 300.0)]
    batch = draw_batch(shapes, 7, torch.Generator().manual_seed(0))
    passes = batch.passes(2, torch.device("cpu"))
    assert sorted(row for one in passes for row in one.rows.tolist()) == list(range(7))
    assert [len(one.rows) for one in passes if one.latents.shape[-1] == 4].count(2) >= 2
    for one in passes:
        assert 1 <= len(one.rows) <= 2 and one.weights is None
        for place, row in enumerate(one.rows.tolist()):
            assert torch.equal(one.latents[place], batch.latents[row])
            assert torch.equal(one.noise[place], batch.noise[row])
            assert torch.equal(one.framing[place], batch.framing[row])


def test_images_of_one_shape_are_drawn_as_ever():
    """The same numbers as when a batch was one tensor: noise is drawn for all of it at once."""
    batch = draw_batch([image(4, 4, std=1.0)], 3, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        torch.randperm(1, generator=generator)
    for latents in batch.latents:
        for _ in ("top", "left"):
            torch.randint(1, (), generator=generator)
        sample = torch.randn((4, 4, 4), generator=generator)
        torch.randint(1, (), generator=generator)
        assert torch.equal(latents, torch.arange(4.0) + sample)
    assert torch.equal(torch.stack(batch.noise), torch.randn((3, 4, 4, 4), generator=generator))
    assert torch.equal(batch.u, torch.rand(3, generator=generator))
