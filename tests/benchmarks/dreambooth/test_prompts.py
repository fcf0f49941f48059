"""The authors' prompts, subjects and sampler."""

from __future__ import annotations

import warnings

import pytest
from dti_pack.dti_core.scoring.prompts import judged_text, prompts_for

from benchmarks.dreambooth.protocol import Protocol
from comfy_host.environment import comfyui_tree
from comfy_host.in_process import use_host


@pytest.mark.parametrize("word", ["dog", "cat", "stuffed animal"])
def test_there_are_41_prompts_for_each_kind(word):
    prompts = prompts_for(word)
    assert len(set(prompts)) == len(prompts) == 41
    assert all(prompt.count("{}") == 1 for prompt in prompts)
    assert ("a {} wearing a santa hat" in prompts) == (word in ("dog", "cat"))
    assert prompts_for(word, 3) == prompts[:3]


def test_the_judge_reads_the_class_word():
    assert judged_text("a {} in the snow", "stuffed animal") == "a stuffed animal in the snow."


@pytest.fixture(scope="module")
def sigmas():
    """ComfyUI's noise levels for the protocol's sampler, on SDXL's schedule."""
    use_host(comfyui_tree())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        from comfy.model_sampling import ModelSamplingDiscrete
        from comfy.samplers import calculate_sigmas
    return calculate_sigmas(ModelSamplingDiscrete(), Protocol.scheduler, Protocol.sampling_steps)


def test_the_sampler_takes_the_steps_that_diffusers_takes(sigmas):
    """EulerDiscreteScheduler as SDXL's files set it up."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(Protocol.sampling_steps)
    # Both compute in float32 from cumulative products of 1000 factors.
    assert sigmas.numpy() == pytest.approx(scheduler.sigmas.numpy(), rel=1e-5, abs=1e-6)
