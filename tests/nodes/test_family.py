"""What is told of a model's family before anything of it is loaded."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="module")
def host_models(load_models):
    """MODEL and CLIP of a family by the name of the host's entry, without weights."""
    import comfy.supported_models

    from benchmarks.families.others import models_of

    def of(name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the host's own code says
            return models_of(getattr(comfy.supported_models, name))

    return of


@pytest.mark.parametrize(
    "name", ["SD15", "SD20", "SD21UnclipH", "SDXL", "SDXLRefiner", "SSD1B", "Segmind_Vega", "KOALA_700M"]
)
def test_clip_families_are_trainable(host_models, name):
    from dti_pack.nodes.host.training.trainable import check_trainable

    check_trainable(*host_models(name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WAN21_T2V", "train on Wan: its latents have a time axis"),
        ("Hunyuan3Dv2", "train on Hunyuan3Dv2: its latents are no images"),
        ("StableAudio", "train on StableAudio: its latents are no images"),
        ("Stable_Zero123", "train on Stable Zero123: it comes without text encoders"),
        ("SVD_img2vid", "train on Stable Video Diffusion: it comes without text encoders"),
        ("SD_X4Upscaler", "train on SD X4Upscaler: it enlarges an image"),
        ("LotusD", "train on LotusD: its sampling is .*IMG_TO_IMG"),
        ("HunyuanDiT", "train on HunyuanDiT: its text encoders hydit_clip and mt5xl are not of CLIP's kind"),
    ],
)
def test_other_families_are_refused_with_a_reason(host_models, name, message):
    from dti_pack.nodes.host.training.trainable import check_trainable

    with pytest.raises(ValueError, match=rf"cannot {message}.*Use a checkpoint of"):
        check_trainable(*host_models(name))


def test_text_encoders_that_are_none_of_the_hosts(host_models):
    from dti_pack.nodes.host.training.trainable import check_trainable
    from torch.nn import Linear

    model, _ = host_models("SDXL")
    with pytest.raises(ValueError, match="its text encoder Linear is none of ComfyUI's"):
        check_trainable(model, SimpleNamespace(cond_stage_model=Linear(1, 1)))


@pytest.mark.parametrize(
    ("name", "kind", "native", "resolution"),
    [
        ("SD15", "EPS", 512, 512),
        ("SD20", "EPS", 512, 512),
        ("SD20", "V_PREDICTION", 768, 768),
        ("SDXL", "EPS", 1024, 768),
        ("SSD1B", "EPS", 1024, 768),
    ],
)
def test_resolution_that_suits_the_model(host_models, name, kind, native, resolution):
    from comfy.model_base import ModelType
    from dti_pack.nodes.host.training.family import native_resolution, resolution_notes, training_resolution

    model, _ = host_models(name)
    model.model.model_type = ModelType[kind]
    assert native_resolution(model) == native
    assert training_resolution(model, 0) == resolution
    assert training_resolution(model, 1024) == 1024
    with pytest.raises(ValueError, match="resolution is 32; give 64 or more, or 0"):
        training_resolution(model, 32)
    assert resolution_notes(model, resolution) == resolution_notes(model, 64) == []
    (note,) = resolution_notes(model, 3 * native // 2)
    assert f"trained on images of {native} pixels" in note


def test_a_network_without_a_middle_is_counted_like_others(comfy_modules):
    """KOALA's."""
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from dti_pack.nodes.host.training.footprint import footprint_of
    from small_families.sdxl import KOALA

    with torch.device("meta"):
        whole, without = (UNetModel(**{**KOALA, "transformer_depth_middle": depth}) for depth in (-1, -2))
    counted = [footprint_of(network, torch.nn.Identity(), 128, {}, 2) for network in (whole, without)]
    assert without.middle_block is None
    assert counted[1].transformer == counted[0].transformer > 0
    assert 0 < counted[1].residual < counted[0].residual
