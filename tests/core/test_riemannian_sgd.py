from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from dti_core.riemannian_sgd import RiemannianSGD
from tests.core.algorithm1 import update
from tests.core.properties import given, settings, st
from tests.rounding import EPS32, EPS64

DIM = 64

# Angles of float32 rows are compared within 8 EPS32 radians: a unit row is rounded to half an eps, and a step to a few.

property_test = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**31)


def unit_rows(n: int, dim: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=-1, keepdim=True)).to(dtype)


def gaussian(n: int, dim: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def angle(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.detach().double(), y.detach().double()
    return 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def run(v: Tensor, gradient: Callable[[int, Tensor], Tensor], steps: int, **group: object) -> Tensor:
    """The parameter after `steps` steps of gradient(step, v)."""
    parameter = Parameter(v.clone())
    optimizer = RiemannianSGD([{"params": [parameter], **group}], lr=0.04)
    for step in range(steps):
        parameter.grad = gradient(step, parameter.detach())
        optimizer.step()
    return parameter.detach()


def pull_to(target: Tensor) -> Callable[[int, Tensor], Tensor]:
    """Gradient of the loss -<v, target>, plus noise that is the same for every run."""
    return lambda step, v: gaussian(*target.shape, seed=step, dtype=v.dtype) * 0.05 - target.to(v.dtype)


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
@given(
    seed=seeds, lr=st.floats(1e-3, 10.0), scale=st.floats(1e-8, 1e8), kappa=st.sampled_from([0.0, 1e-4, 1.0])
)
def test_each_step_turns_each_row_by_the_arc_tangent_of_lr(
    seed: int, lr: float, scale: float, kappa: float
) -> None:
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


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_gradient_holds_its_row_and_is_reported(bad: float) -> None:
    v = Parameter(unit_rows(4, DIM, 0))
    before = v.detach().clone()
    optimizer = RiemannianSGD([v], lr=0.04)
    v.grad = gaussian(4, DIM, 1)
    v.grad[1, 7] = bad
    v.grad[2] = 0
    v.grad[3] = 5 * before[3]  # along v: only rounding errors remain in the tangent plane
    optimizer.step()

    assert optimizer.state[v]["moved"].tolist() == [True, False, False, False]
    assert torch.equal(v.detach()[1:], before[1:])
    torch.testing.assert_close(angle(v[0], before[0]).item(), math.atan(0.04), atol=8 * EPS32, rtol=0)
    norms = optimizer.state[v]["data_gradient_norm"]
    torch.testing.assert_close(norms[[0, 2, 3]], v.grad[[0, 2, 3]].norm(dim=-1))
    assert not norms[1].isfinite()


def test_report_of_a_step() -> None:
    v, mu, g = unit_rows(2, DIM, 0), unit_rows(2, DIM, 1), gaussian(2, DIM, 2)
    parameter = Parameter(v.clone())
    optimizer = RiemannianSGD([{"params": [parameter], "mu": mu, "kappa": 3.0}], lr=0.04)
    parameter.grad = g.clone()
    optimizer.step()
    report = optimizer.state[parameter]

    assert report["step"] == 1
    torch.testing.assert_close(report["data_gradient_norm"], g.norm(dim=-1))
    g_euc = g - 3.0 * mu
    expected = (g_euc.square().sum(dim=-1) - (g_euc * v).sum(dim=-1).square()).sqrt()
    torch.testing.assert_close(report["riemannian_gradient_norm"], expected)
    assert torch.equal(parameter.grad, g), "the gradient is an input"


def test_a_resumed_run_equals_an_uninterrupted_one() -> None:
    v, mu, target = (unit_rows(2, DIM, seed) for seed in range(3))
    expected = run(v, pull_to(target), 20, mu=mu, kappa=0.2)

    first = Parameter(run(v, pull_to(target), 10, mu=mu, kappa=0.2))
    optimizer = RiemannianSGD([{"params": [first], "mu": mu, "kappa": 0.2}], lr=0.04)
    first.grad = pull_to(target)(10, first.detach())
    optimizer.step()
    file = io.BytesIO()
    torch.save({"v": first.detach(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    second = Parameter(saved["v"])
    # Everything but the parameter comes from the file, mu too.
    optimizer = RiemannianSGD([{"params": [second], "mu": torch.roll(mu, 1, 0), "kappa": 9.0}], lr=1.0)
    optimizer.load_state_dict(saved["optimizer"])
    assert optimizer.state[second]["moved"].dtype == torch.bool
    for step in range(11, 20):
        second.grad = pull_to(target)(step, second.detach())
        optimizer.step()
    # Bit for bit: the same operations on the same shapes.
    assert torch.equal(second.detach(), expected)
    assert optimizer.state[second]["step"] == 10


def test_learning_rate_schedules_are_followed() -> None:
    v = Parameter(unit_rows(2, DIM, 0))
    optimizer = RiemannianSGD([v], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for step in range(5):
        before = v.detach().clone()
        v.grad = gaussian(2, DIM, step + 1)
        optimizer.step()
        schedule.step()
        turned = torch.full((2,), math.atan(0.1 * 0.5**step), dtype=torch.float64)
        torch.testing.assert_close(angle(before, v), turned, atol=8 * EPS32, rtol=0)


def test_step_calls_the_closure_with_gradients_enabled() -> None:
    v, target = Parameter(unit_rows(1, DIM, 0)), unit_rows(1, DIM, 1)
    optimizer = RiemannianSGD([v], lr=0.04)

    def closure() -> float:
        loss = -(v * target).sum()
        loss.backward()
        return loss.item()

    before = angle(v, target)
    assert optimizer.step(closure) == pytest.approx(-math.cos(before.item()), abs=8 * EPS32)
    assert angle(v, target).item() == pytest.approx(before.item() - math.atan(0.04), abs=8 * EPS32)


def test_a_parameter_without_gradient_is_left_alone() -> None:
    v = Parameter(unit_rows(2, DIM, 0))
    optimizer = RiemannianSGD([v], lr=0.04)
    optimizer.step()
    assert torch.equal(v.detach(), unit_rows(2, DIM, 0))
    assert v not in optimizer.state


def test_sparse_gradients_are_refused_with_the_alternative() -> None:
    v = Parameter(unit_rows(2, DIM, 0))
    v.grad = gaussian(2, DIM, 1).to_sparse()
    with pytest.raises(RuntimeError, match="sparse=False"):
        RiemannianSGD([v], lr=0.04).step()


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": math.nan}, "lr is nan"),
        ({"kappa": -1e-4}, "kappa is -0.0001"),
        ({"kappa": math.inf}, "kappa is inf"),
        ({"kappa": 1e-4, "mu": None}, "no mu"),
        ({"mu": unit_rows(3, DIM, 1)}, r"\(3, 64\) and the parameter \(2, 64\)"),
        ({"mu": 0.4 * unit_rows(2, DIM, 1)}, "mu is not on the unit sphere.*0.4"),
        ({"mu": unit_rows(2, DIM, 1).half()}, "mu is torch.float16"),
        ({"params": [Parameter(unit_rows(2, DIM, 0).bfloat16())]}, "parameter is torch.bfloat16"),
        ({"params": [Parameter(unit_rows(1, DIM, 0)[0])]}, r"shape \(64,\)"),
        ({"params": [Parameter(2 * unit_rows(2, DIM, 0))]}, "parameter is not on the unit sphere"),
    ],
)
def test_bad_groups_are_refused(group: dict[str, object], message: str) -> None:
    good = Parameter(unit_rows(2, DIM, 0))
    with pytest.raises(ValueError, match=message):
        RiemannianSGD([{"params": [good], "mu": unit_rows(2, DIM, 1), **group}], lr=0.04)


def test_a_refused_group_is_not_kept() -> None:
    optimizer = RiemannianSGD([Parameter(unit_rows(2, DIM, 0))], lr=0.04)
    with pytest.raises(ValueError, match="kappa"):
        optimizer.add_param_group({"params": [Parameter(unit_rows(2, DIM, 1))], "kappa": -1.0})
    assert len(optimizer.param_groups) == 1


def test_mu_is_a_constant() -> None:
    v, mu = Parameter(unit_rows(2, DIM, 0)), unit_rows(2, DIM, 1).requires_grad_()
    optimizer = RiemannianSGD([{"params": [v], "mu": mu, "kappa": 0.1}], lr=0.04)
    assert not optimizer.param_groups[0]["mu"].requires_grad


def test_a_deep_copy_continues_alike() -> None:
    v, target = unit_rows(2, DIM, 0), unit_rows(2, DIM, 1)
    parameter = Parameter(v.clone())
    optimizer = RiemannianSGD([parameter], lr=0.04)
    twin = copy.deepcopy(optimizer)
    (twin_parameter,) = twin.param_groups[0]["params"]
    for p, o in ((parameter, optimizer), (twin_parameter, twin)):
        p.grad = p.detach() - target
        o.step()
    assert twin_parameter is not parameter
    assert torch.equal(twin_parameter, parameter)


def test_a_zero_data_gradient_is_not_left_to_the_prior():
    """A gradient of exactly zero means underflow, or a caption without the concept, and not that the prior is right."""
    v = torch.nn.Parameter(torch.nn.functional.normalize(torch.randn(2, 8, generator=torch.Generator().manual_seed(0))))
    mu = v.detach().roll(1, dims=-1)
    optimizer = RiemannianSGD([{"params": [v], "mu": mu}], lr=0.1, kappa=1.0)
    v.grad = torch.zeros_like(v)
    v.grad[1, 0] = 1e-6
    before = v.detach().clone()
    optimizer.step()
    assert torch.equal(v[0], before[0])
    assert optimizer.state[v]["moved"].tolist() == [False, True]
