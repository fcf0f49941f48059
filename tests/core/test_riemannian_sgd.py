"""Algorithm 1: what a step does to a row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from dti_core.riemannian_sgd import RiemannianSGD
from tests.core.algorithm1 import update
from tests.core.properties import given, settings, st
from tests.core.rows import DIM, angle, gaussian, pull_to, run, unit_rows
from tests.rounding import EPS32, EPS64

# Angles of float32 rows are compared within 8 EPS32 radians: a unit row is rounded to half an eps, and a step to a few.

property_test = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**31)


@pytest.mark.parametrize("kappa", [0.0, 1e-4, 0.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_hundred_steps_of_algorithm_1(kappa: float, dtype: torch.dtype) -> None:
    v, mu, target = (unit_rows(3, DIM, seed, dtype) for seed in (1, 2, 3))
    expected = v.double().numpy()
    rows = mu.double().numpy()
    for step in range(100):
        g = pull_to(target)(step, torch.from_numpy(expected)).numpy()
        expected = np.stack([update(*row, kappa, 0.04) for row in zip(expected, g, rows, strict=True)])

    result = run(v, pull_to(target), 100, mu=mu, kappa=kappa)
    # A step rounds components below 1 a few times, and the next one carries that on.
    np.testing.assert_allclose(result.double().numpy(), expected, atol=100 * 2 * torch.finfo(dtype).eps, rtol=0)


def test_a_hundred_steps_on_geoopts_sphere(geoopt_sphere) -> None:
    manifold = geoopt_sphere
    v, mu, target = (unit_rows(3, DIM, seed, torch.float64) for seed in (1, 2, 3))
    expected = v
    for step in range(100):
        g = manifold.egrad2rgrad(expected, pull_to(target)(step, expected) - 0.1 * mu)
        expected = manifold.retr(expected, -0.04 * g / manifold.norm(expected, g, keepdim=True))

    result = run(v, pull_to(target), 100, mu=mu, kappa=0.1)
    torch.testing.assert_close(result, expected, atol=100 * 2 * EPS64, rtol=0)


def test_ten_thousand_float32_steps_stay_on_the_sphere() -> None:
    noise = gaussian(50, 1280, seed=0)
    v = run(unit_rows(2, 1280, seed=1), lambda step, v: noise[step % 49 : step % 49 + 2], 10_000)
    # As after one step, each of which ends with a division by the norm; errors that add up would be 1e-4.
    assert (v.double().norm(dim=-1) - 1).abs().max() < 8 * EPS32


@property_test
@given(seed=seeds, lr=st.floats(1e-3, 10.0), scale=st.floats(1e-8, 1e8), kappa=st.sampled_from([0.0, 1e-4, 1.0]))
def test_each_step_turns_each_row_by_the_arc_tangent_of_lr(seed: int, lr: float, scale: float, kappa: float) -> None:
    v, mu = unit_rows(4, 768, seed), unit_rows(4, 768, seed + 1)
    after = run(v, lambda step, v: scale * gaussian(4, 768, seed + 2), 1, mu=mu, kappa=kappa, lr=lr)
    # What rounding v to float32 can turn it, and a few operations on the step.
    torch.testing.assert_close(
        angle(v, after), torch.full((4,), math.atan(lr), dtype=torch.float64), atol=2 * EPS32, rtol=16 * EPS32
    )


def test_a_gradient_nearly_along_v_turns_it_by_the_same_angle() -> None:
    v = unit_rows(4, 768, 0)
    after = run(v, lambda step, v: v + 2e-5 * gaussian(4, 768, 1) / math.sqrt(768), 1, lr=1.0)
    expected = torch.full((4,), math.pi / 4, dtype=torch.float64)
    torch.testing.assert_close(angle(v, after), expected, atol=8 * EPS32, rtol=0)


@property_test
@given(seed=seeds, exponent=st.integers(-20, 20))
def test_without_a_prior_the_scale_of_the_gradient_does_not_matter(seed: int, exponent: int) -> None:
    v, g = unit_rows(3, DIM, seed), gaussian(3, DIM, seed + 1)
    # A power of two scales floats without rounding, on every processor, and these are far from under- and overflow.
    assert torch.equal(run(v, lambda *_: g, 5), run(v, lambda *_: g * 2.0**exponent, 5))


def test_with_a_prior_the_scale_of_the_gradient_matters() -> None:
    v, mu, g = unit_rows(3, DIM, 0), unit_rows(3, DIM, 1), gaussian(3, DIM, 2)
    once = run(v, lambda *_: g, 5, mu=mu, kappa=1.0)
    scaled = run(v, lambda *_: 100 * g, 5, mu=mu, kappa=1.0)
    assert angle(once, scaled).min() > 0.01
    # Only the ratio of kappa and gradient counts; 100 g is rounded, in each of five steps.
    torch.testing.assert_close(run(v, lambda *_: 100 * g, 5, mu=mu, kappa=100.0), once, atol=5 * 2 * EPS32, rtol=0)


@property_test
@given(seed=seeds)
def test_a_large_kappa_leads_to_mu(seed: int) -> None:
    v, mu = unit_rows(3, DIM, seed), unit_rows(3, DIM, seed + 1)
    after = run(v, lambda step, v: gaussian(3, DIM, seed + step), 100, mu=mu, kappa=1e6)
    # A step is never shorter than atan(lr), so mu is overshot by up to one step.
    assert angle(after, mu).max() <= math.atan(0.04) + 8 * EPS32


def test_at_mu_the_prior_alone_moves_nothing() -> None:
    mu = unit_rows(3, 1280, 0)
    assert torch.equal(run(mu, lambda step, v: torch.zeros_like(v), 10, mu=mu, kappa=1e6), mu)


def test_rows_are_independent() -> None:
    v, mu, target = (unit_rows(3, DIM, seed) for seed in range(3))
    together = run(v, lambda step, v: v - target, 20, mu=mu, kappa=0.3)
    for row in range(3):
        one = slice(row, row + 1)
        alone = run(v[one], lambda step, v, one=one: v - target[one], 20, mu=mu[one], kappa=0.3)
        # One row and three need not be summed in the same order; 20 steps carry that on.
        torch.testing.assert_close(alone, together[one], atol=20 * 2 * EPS32, rtol=0)


def test_encoders_are_independent() -> None:
    narrow, wide = unit_rows(2, 768, 0), unit_rows(2, 1280, 1)
    both = [Parameter(narrow.clone()), Parameter(wide.clone())]
    optimizer = RiemannianSGD([{"params": [both[0]]}, {"params": [both[1]], "lr": 0.01}], lr=0.04)
    for parameter in both:
        parameter.grad = gaussian(*parameter.shape, seed=2)
    optimizer.step()

    # Bit for bit: the same operations on the same shapes.
    assert torch.equal(both[0].detach(), run(narrow, lambda *_: gaussian(2, 768, 2), 1))
    assert torch.equal(both[1].detach(), run(wide, lambda *_: gaussian(2, 1280, 2), 1, lr=0.01))
