"""Lemma 1 of the paper, numerically, on 77 random positions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from dti_core.analysis.position_attenuation import FirstNorm, position_share
from tests.rounding import EPS64

DIM, POSITIONS = 64, 77


@pytest.fixture(autouse=True, params=range(3))
def generator(request: pytest.FixtureRequest) -> torch.Generator:
    return torch.Generator().manual_seed(request.param)


@pytest.fixture
def first(generator: torch.Generator) -> FirstNorm:
    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return FirstNorm(0.03 * normal(POSITIONS, DIM), 1 + 0.2 * normal(DIM), 0.1 * normal(DIM), 1e-5)


@pytest.fixture
def plain(first: FirstNorm) -> FirstNorm:
    """Lemma 1's LayerNorm: without weight, bias and epsilon."""
    return FirstNorm(first.positions, torch.ones_like(first.weight), torch.zeros_like(first.bias), 0.0)


@pytest.fixture
def direction(generator: torch.Generator) -> Tensor:
    v = torch.randn(DIM, generator=generator, dtype=torch.float64)
    return v / v.norm()


def test_it_falls_as_one_over_the_magnitude(first: FirstNorm, direction: Tensor) -> None:
    magnitudes = torch.logspace(1.5, 4, 20, dtype=torch.float64)
    share = position_share(first, direction, magnitudes)
    slopes = share.log().diff() / magnitudes.log().diff()
    # Not rounding: the next order, about 1 / 30 of the first at most.
    torch.testing.assert_close(slopes, -torch.ones_like(slopes), atol=0.02, rtol=0)


def test_its_limit_is_the_leading_term_of_the_lemma(plain: FirstNorm, direction: Tensor) -> None:
    """m * share tends to RMS |(I - u u^T) C p| / |C v| over positions that are centred."""
    a = direction - direction.mean()
    u = a / a.norm()
    centred = plain.positions - plain.positions.mean(dim=0)
    cp = centred - centred.mean(dim=1, keepdim=True)
    leading = (cp - (cp @ u)[:, None] * u).norm(dim=1).square().mean().sqrt() / a.norm()
    share = position_share(plain, direction, torch.tensor([1e5], dtype=torch.float64))
    # Not rounding: the next order is 1e-5 of it.
    assert 1e5 * share.item() == pytest.approx(leading.item(), rel=1e-3)


def test_it_is_a_share(first: FirstNorm, direction: Tensor) -> None:
    share = position_share(first, direction, torch.logspace(-6, 6, 50))
    assert bool(((share >= 0) & (share <= 1)).all())


def test_without_a_token_only_the_position_is_left(plain: FirstNorm, direction: Tensor) -> None:
    around_zero = dataclasses.replace(plain, positions=torch.cat([plain.positions, -plain.positions]))
    assert position_share(around_zero, direction, torch.zeros(1)).item() == pytest.approx(1)


def test_equal_positions_leave_nothing(first: FirstNorm, direction: Tensor) -> None:
    same = dataclasses.replace(first, positions=first.positions[:1].expand(POSITIONS, -1))
    assert position_share(same, direction, torch.ones(1)).item() == pytest.approx(0, abs=POSITIONS * EPS64)


@pytest.mark.parametrize("position", [0, 40, POSITIONS - 1])
def test_every_position_counts(first: FirstNorm, direction: Tensor, position: int) -> None:
    moved = first.positions.clone()
    moved[position] *= 30
    before = position_share(first, direction, torch.ones(1))
    after = position_share(dataclasses.replace(first, positions=moved), direction, torch.ones(1))
    assert after.item() > 1.01 * before.item()


def test_only_the_ratio_of_token_and_position_matters(plain: FirstNorm, direction: Tensor) -> None:
    """LN(s x) = LN(x), eq. 7."""
    scaled = dataclasses.replace(plain, positions=8 * plain.positions)
    torch.testing.assert_close(
        position_share(scaled, direction, torch.tensor([4.0])), position_share(plain, direction, torch.tensor([0.5]))
    )
