"""The training error, read off D, is the network's own error for the host's sampling classes."""

from __future__ import annotations

import pytest
import torch

from tests.rounding import EPS32


def sampling(prediction, schedule, settings=None):
    """A host `model_sampling` as its models have it."""
    config = type("Config", (), {"sampling_settings": settings or {}})()
    return type("ModelSampling", (schedule, prediction), {})(config)


@pytest.fixture
def host(comfy_modules):
    import comfy.model_sampling

    return comfy.model_sampling


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(3)
    x0, noise, error = (torch.randn((5, 4, 8, 8), generator=generator) for _ in range(3))
    return x0, noise, 0.3 * error


def rounding(x0, sigma):
    """Where the error is a difference of x0's size divided by sigma, half a dozen roundings of x0 are too."""
    return {"atol": 6 * EPS32 * x0.abs().max().item() / sigma.min().item(), "rtol": 0}


def error_read_off(model_sampling, output, x0, noise, sigma):
    from dti_pack.nodes.host.training.sampling_kind import training_error

    x_t = model_sampling.noise_scaling(sigma, noise.clone(), x0)
    denoised = model_sampling.calculate_denoised(sigma, output, x_t)
    return training_error(model_sampling)(denoised, x0, sigma)


def test_eps_error_is_the_noise_error(host, data):
    x0, noise, error = data
    model_sampling = sampling(host.EPS, host.ModelSamplingDiscrete)
    sigma = model_sampling.sigmas[[0, 100, 500, 900, 999]]
    read = error_read_off(model_sampling, noise + error, x0, noise, sigma)
    torch.testing.assert_close(read, error, **rounding(x0, sigma))


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_v_error_is_the_v_error(host, data, zero_terminal_snr):
    """v = alpha * noise - sigma' * x0 in the variance preserving picture, sigma = sigma' / alpha."""
    x0, noise, error = data
    model_sampling = sampling(host.V_PREDICTION, host.ModelSamplingDiscrete, {"zsnr": zero_terminal_snr})
    sigma = model_sampling.sigmas[[0, 100, 500, 900, 999]]
    assert (sigma[-1] > 4000) == zero_terminal_snr
    column = sigma.double().reshape(-1, 1, 1, 1)
    target = ((noise - column * x0) / (column**2 + 1).sqrt()).float()
    read = error_read_off(model_sampling, target + error, x0, noise, sigma)
    torch.testing.assert_close(read.abs(), error.abs(), **rounding(x0, sigma))


def test_flow_error_is_the_velocity_error(host, data):
    x0, noise, error = data
    model_sampling = sampling(host.CONST, host.ModelSamplingDiscreteFlow, {"shift": 3.0})
    sigma = model_sampling.sigmas[[0, 100, 500, 900, 999]]
    read = error_read_off(model_sampling, noise - x0 + error, x0, noise, sigma)
    torch.testing.assert_close(read, error, **rounding(x0, sigma))


def test_unknown_sampling_is_refused(host):
    from dti_pack.nodes.host.training.sampling_kind import training_error

    with pytest.raises(ValueError, match=r"X0.*eps, v-prediction and flow"):
        training_error(sampling(host.X0, host.ModelSamplingDiscrete))
