from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dti_core import sphere
from tests.core.properties import given, settings, st
from tests.rounding import EPS32, EPS64

property_test = settings(deadline=None, derandomize=True, max_examples=60)
seeds = st.integers(0, 2**31)
dims = st.sampled_from([2, 3, 17, 768])
# Everything below is float64 unless it says otherwise. In whatever order 768 products are added, the sum is off by
# less than 768 eps of their size.
SUM = 768 * EPS64


def points(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=-1, keepdim=True)).to(dtype)


def tangent(x: Tensor, length: float, seed: int) -> Tensor:
    """A tangent vector at each row of x, `length` radians long."""
    u = points(*x.shape, seed=seed)
    u = u - (u * x).sum(dim=-1, keepdim=True) * x
    return length * u / u.norm(dim=-1, keepdim=True)


@property_test
@given(seed=seeds, dim=dims)
def test_same_as_geoopt(geoopt_sphere, seed: int, dim: int) -> None:
    x, y = points(4, dim, seed=seed), points(4, dim, seed=seed + 1)
    u = 3 * points(4, dim, seed=seed + 2)
    step = geoopt_sphere.proju(x, u)

    # u is 3 long.
    torch.testing.assert_close(sphere.projx(u), geoopt_sphere.projx(u), atol=3 * SUM, rtol=0)
    torch.testing.assert_close(sphere.egrad2rgrad(x, u), geoopt_sphere.egrad2rgrad(x, u), atol=3 * SUM, rtol=0)
    torch.testing.assert_close(sphere.retr(x, step), geoopt_sphere.retr(x, step), atol=3 * SUM, rtol=0)
    torch.testing.assert_close(sphere.expmap(x, step), geoopt_sphere.expmap(x, step), atol=3 * SUM, rtol=0)
    # geoopt takes angles through acos, whose error near 0 and pi is sqrt(2 SUM), 6e-7.
    torch.testing.assert_close(sphere.dist(x, y), geoopt_sphere.dist(x, y), atol=1e-6, rtol=0)
    torch.testing.assert_close(sphere.logmap(x, y), geoopt_sphere.logmap(x, y), atol=1e-6, rtol=0)


@property_test
@given(seed=seeds, dim=dims, angle=st.floats(1e-9, math.pi - 1e-6))
def test_logmap_inverts_expmap_and_dist_is_its_length(seed: int, dim: int, angle: float) -> None:
    x = points(3, dim, seed=seed)
    u = tangent(x, angle, seed + 1)
    y = sphere.expmap(x, u)

    assert sphere.check_point_on_sphere(y, atol=4 * SUM)[0]
    # The length of u carries the error of a sum, and the components of y that of being rounded.
    torch.testing.assert_close(
        sphere.dist(x, y), torch.full((3,), angle, dtype=x.dtype), atol=64 * EPS64, rtol=4 * SUM
    )
    # The direction of the way is conditioned like 1 / sin(angle).
    tolerance = 4 * SUM * (1 + angle / math.sin(angle))
    torch.testing.assert_close(sphere.logmap(x, y), u, atol=tolerance, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-12, 1e-6, 1e-3, 1.0])
def test_dist_is_exact_near_zero_and_pi_in_float32(angle: float) -> None:
    x = torch.tensor([[1.0, 0.0, 0.0]])
    y = torch.tensor([[math.cos(angle), math.sin(angle), 0.0]])
    # Half a dozen operations. The square of 1e-30 is no float32 any more, that of 1e-19 just is.
    assert sphere.dist(x, y).item() == pytest.approx(angle, rel=8 * EPS32, abs=1e-19)
    assert sphere.dist(x, -y).item() == pytest.approx(math.pi - angle, rel=8 * EPS32)


def test_dist_shapes() -> None:
    x, y = points(2, 3, 5, seed=1), points(2, 3, 5, seed=2)
    assert sphere.dist(x, y).shape == (2, 3)
    assert sphere.dist(x, y, keepdim=True).shape == (2, 3, 1)


@property_test
@given(seed=seeds, dim=dims)
def test_egrad2rgrad_is_tangent_and_idempotent(seed: int, dim: int) -> None:
    x, u = points(5, dim, seed=seed), points(5, dim, seed=seed + 1)
    g = sphere.egrad2rgrad(x, u)
    torch.testing.assert_close((g * x).sum(dim=-1), torch.zeros(5, dtype=x.dtype), atol=SUM, rtol=0)
    torch.testing.assert_close(sphere.egrad2rgrad(x, g), g, atol=SUM, rtol=0)


@property_test
@given(seed=seeds, dim=dims, length=st.floats(1e-6, 100.0))
def test_retraction_turns_by_the_arc_tangent_of_the_step(seed: int, dim: int, length: float) -> None:
    x = points(5, dim, seed=seed)
    y = sphere.retr(x, tangent(x, length, seed + 1))
    expected = torch.full((5,), math.atan(length), dtype=x.dtype)
    torch.testing.assert_close(sphere.dist(x, y), expected, atol=SUM, rtol=0)


def test_logmap_of_a_point_to_itself_is_zero() -> None:
    x = points(3, 8, seed=0)
    assert torch.equal(sphere.logmap(x, x), torch.zeros_like(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logmap_refuses_antipodes(dtype: torch.dtype) -> None:
    x = points(2, 768, seed=0, dtype=dtype)
    y = x.clone()
    y[1] = -y[1]
    with pytest.raises(ValueError, match="antipodal"):
        sphere.logmap(x, y)


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_projx_refuses_rows_without_direction(bad: float) -> None:
    x = torch.ones(3, 4)
    x[1] = bad
    with pytest.raises(ValueError, match=f"norms 2, {bad:g}, 2 "):
        sphere.projx(x)


def test_check_point_on_sphere_gives_the_norm_that_is_off() -> None:
    x = points(2, 6, seed=0)
    assert sphere.check_point_on_sphere(x) == (True, None)
    on_sphere, reason = sphere.check_point_on_sphere(torch.stack([x[0], 0.387 * x[1]]))
    assert not on_sphere
    assert reason is not None and "0.387" in reason


def test_check_point_on_sphere_does_not_pass_nan() -> None:
    assert not sphere.check_point_on_sphere(torch.full((1, 3), math.nan))[0]
