"""Riemannian SGD as one of torch's optimizers: groups, state, closures, reports, and what it refuses."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from torch.nn import Parameter

from dti_core.riemannian_sgd import RiemannianSGD
from tests.core.rows import DIM, angle, gaussian, pull_to, run, unit_rows
from tests.rounding import EPS32


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
