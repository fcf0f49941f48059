"""A sampling that nodes have changed is held against what the network was trained for."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def world(load_models, small_world_file):
    """The trained small world: v-prediction, and its file says so."""
    return load_models(small_world_file)


@pytest.fixture(scope="module")
def unmarked_world(load_models, small_world_file, tmp_path_factory):
    """The same weights in a file that does not say what they predict, as some v-prediction checkpoints."""
    weights = {name: tensor for name, tensor in load_file(small_world_file).items() if name not in ("v_pred", "ztsnr")}
    file = tmp_path_factory.mktemp("unmarked") / "unmarked.safetensors"
    save_file(weights, file)
    return load_models(file)


def check(model, clip, vae):
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.vae import encode_images
    from small_world.dataset import HELD_OUT_SEED, pictures

    picture = torch.tensor(pictures(0, 1, HELD_OUT_SEED)[0] / 255.0).float()
    image = encode_images(vae, [picture], 128, [("a photo of a {}",)])[0]
    with training_session(model, clip) as (text_encoder, denoiser):
        before = denoiser._model.model_sampling
        denoiser.check_sampling(image, text_encoder)
        assert denoiser._model.model_sampling is before


def patched(model, node, *inputs):
    from comfy_extras.nodes_model_advanced import NODE_CLASS_MAPPINGS

    cls = NODE_CLASS_MAPPINGS[node]
    return getattr(cls(), cls.FUNCTION)(model, *inputs)[0]


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        ("ModelSamplingSD3", (3.0,)),
        ("ModelSamplingAuraFlow", (1.73,)),
        ("ModelSamplingFlux", (1.15, 0.5, 1024, 1024)),
        ("ModelSamplingDiscrete", ("eps", False)),
        ("ModelSamplingContinuousEDM", ("eps", 14.6, 0.03)),
        ("ModelSamplingContinuousEDM", ("edm_playground_v2.5", 80.0, 0.002)),
        ("ModelSamplingContinuousEDM", ("v_prediction", 120.0, 0.002)),
        ("ModelSamplingStableCascade", (2.0,)),
    ],
)
def test_sampling_of_another_kind_is_refused(world, node_mode, node, inputs):
    model = patched(world.model, node, *inputs)
    with pytest.raises(ValueError, match=r"sample as .*trained as ModelSamplingDiscrete . V_PREDICTION.*from before"):
        check(model, world.clip, world.vae)


@pytest.mark.parametrize("sampling", ["x0", "img_to_img", "img_to_img_flow"])
def test_networks_that_predict_images_are_refused(world, node_mode, sampling):
    import comfy.model_sampling

    if not hasattr(comfy.model_sampling, sampling.upper()):
        pytest.skip(f"this ComfyUI has no {sampling}")
    model = patched(world.model, "ModelSamplingDiscrete", sampling, False)
    with pytest.raises(ValueError, match="DTI trains eps, v-prediction and flow models"):
        check(model, world.clip, world.vae)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_same_kind_is_not_in_question(world, node_mode, zero_terminal_snr):
    check(patched(world.model, "ModelSamplingDiscrete", "v_prediction", zero_terminal_snr), world.clip, world.vae)


def test_a_patch_that_is_right_about_the_network_is_taken(unmarked_world, node_mode):
    assert unmarked_world.model.model.model_type.name == "EPS"
    model = patched(unmarked_world.model, "ModelSamplingDiscrete", "v_prediction", True)
    check(model, unmarked_world.clip, unmarked_world.vae)


def test_lcm_is_of_the_kind_of_eps(unmarked_world, node_mode):
    model = patched(unmarked_world.model, "ModelSamplingDiscrete", "lcm", False)
    check(model, unmarked_world.clip, unmarked_world.vae)


def test_a_part_of_the_schedule_is_what_the_host_calls_so(models):
    """u counts from the clean end, the host's percent from the noisy one, to one level of the schedule."""
    from dti_pack.nodes.host.training.denoiser import HostDenoiser

    denoiser, sampling = HostDenoiser(models.model), models.model.get_model_object("model_sampling")
    levels = sampling.sigmas.log()
    for percent in (0.1, 0.25, 0.5, 0.9):
        ours = denoiser.sigmas(torch.tensor([1 - percent])).log()
        theirs = torch.tensor(sampling.percent_to_sigma(percent)).log()
        ours_at, theirs_at = (int((levels - sigma).abs().argmin()) for sigma in (ours, theirs))
        assert abs(ours_at - theirs_at) <= 1
        assert ours_at == pytest.approx((1 - percent) * len(levels), abs=1)
