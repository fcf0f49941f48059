"""Lemma 2, Proposition 1 and Corollary 1 of the paper, numerically, on a small pre-norm encoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from dti_core.analysis.residual_stagnation import block_angles, drift, drift_bound
from tests.rounding import EPS64

DIM, HIDDEN, TOKENS, LAYERS = 32, 64, 9, 6

Update = Callable[[Tensor], Tensor]


class PreNormEncoder:
    """Attention and MLP in turn, each as x + F(LN(x)), with the bound B of every F.

    |LN(x)| <= sqrt(dim). Attention mixes such rows convexly before its two matrices, tanh is at most 1.
    """

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.blocks: list[tuple[Update, float]] = []
        for _ in range(LAYERS // 2):
            query, key, value, up, down = (
                torch.randn(shape, generator=generator, dtype=torch.float64) / shape[1] ** 0.5
                for shape in ((DIM, DIM), (DIM, DIM), (DIM, DIM), (HIDDEN, DIM), (DIM, HIDDEN))
            )
            self.blocks.append((_attention(query, key, value), _largest(value) * DIM**0.5))
            self.blocks.append((_mlp(up, down), _largest(down) * HIDDEN**0.5))

    @property
    def bounds(self) -> list[float]:
        return [bound for _, bound in self.blocks]

    def states(self, x: Tensor) -> Tensor:
        """[TOKENS, L + 1, DIM] for the input [TOKENS, DIM]."""
        states = [x]
        for update, _ in self.blocks:
            states.append(states[-1] + update(layer_norm(states[-1], (DIM,))))
        return torch.stack(states, dim=1)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Update:
    return lambda u: torch.softmax((u @ query.T) @ (u @ key.T).T / DIM**0.5, dim=-1) @ u @ value.T


def _mlp(up: Tensor, down: Tensor) -> Update:
    return lambda u: torch.tanh(u @ up.T) @ down.T


def _largest(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))


@pytest.fixture(params=range(3))
def encoder(request: pytest.FixtureRequest) -> PreNormEncoder:
    return PreNormEncoder(request.param)


@pytest.fixture
def directions() -> Tensor:
    x = torch.randn(TOKENS, DIM, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def test_no_block_turns_more_than_lemma_2_allows(encoder: PreNormEncoder, directions: Tensor) -> None:
    states = encoder.states(2 * sum(encoder.bounds) * directions)
    allowed = torch.asin(torch.tensor(encoder.bounds, dtype=torch.float64) / states[:, :-1].norm(dim=-1))
    # At most half of what is allowed happens here, so the inequality needs no room for rounding; nor do the next two.
    assert bool((block_angles(states) <= allowed).all())


@pytest.mark.parametrize("times", [1.01, 2.0, 10.0, 100.0])
def test_the_whole_encoder_turns_no_more_than_proposition_1_allows(
    encoder: PreNormEncoder, directions: Tensor, times: float
) -> None:
    total = sum(encoder.bounds)
    turned = drift(encoder.states(times * total * directions))[:, -1]
    bound = drift_bound(times * total, encoder.bounds)
    assert bool((turned <= bound).all())
    assert bound <= math.pi / 2 / (times - 1)


def test_a_longer_token_freezes(encoder: PreNormEncoder, directions: Tensor) -> None:
    """Corollary 1: ten times the norm, a tenth of the turn, once updates no longer matter to it."""
    total = sum(encoder.bounds)
    turned = torch.stack([drift(encoder.states(a * total * directions))[:, -1] for a in (1, 10, 100, 1000)])
    assert bool((turned.diff(dim=0) < 0).all())
    # Not rounding: what is missing is the next order, about 1 / 100 where the length is 100 times the updates'.
    torch.testing.assert_close(10 * turned[3], turned[2], rtol=0.05, atol=0)


def test_drift_is_at_most_the_sum_of_the_turns(encoder: PreNormEncoder, directions: Tensor) -> None:
    states = encoder.states(directions)
    assert block_angles(states).shape == drift(states).shape == (TOKENS, LAYERS)
    assert bool((drift(states) <= block_angles(states).cumsum(dim=1) + 64 * EPS64).all())


def test_angles_of_known_states() -> None:
    states = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-0.1, 0.0], [0.0, 7.0]])
    # In float32 a degree here is good to 90 eps, 1e-5.
    assert block_angles(states).rad2deg().tolist() == pytest.approx([90, 90, 90], abs=1e-4)
    assert drift(states).rad2deg().tolist() == pytest.approx([90, 180, 90], abs=1e-4)


def test_bound_by_hand() -> None:
    assert drift_bound(10, [1, 2, 3]) == pytest.approx(math.pi / 2 * (1 / 10 + 2 / 9 + 3 / 7))


@pytest.mark.parametrize("norm", [1.0, 10.0, 10.01])
def test_a_bound_that_says_nothing_is_pi(norm: float) -> None:
    assert drift_bound(norm, [1.0] * 10) == math.pi
