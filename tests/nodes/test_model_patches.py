"""MODELs that the host's own nodes have patched: trained as they sample, with right gradients, or refused by name."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
from types import SimpleNamespace

import pytest
import torch

# Every node of the host's that changes a MODEL, by module, with the inputs that make it do most.
IN_THE_NETWORK = {
    "FreeU": ("freelunch", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    "FreeU_V2": ("freelunch", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    "HyperTile": ("hypertile", {"tile_size": 32, "swap_size": 4, "max_depth": 2, "scale_depth": False}),
    "TomePatchModel": ("tomesd", {"ratio": 0.5}),
    "PatchModelAddDownscale": (
        "model_downscale",
        {
            "block_number": 2,
            "downscale_factor": 2.0,
            "start_percent": 0.0,
            "end_percent": 0.5,
            "downscale_after_skip": True,
            "downscale_method": "bicubic",
            "upscale_method": "bicubic",
        },
    ),
    "SelfAttentionGuidance": ("sag", {"scale": 0.5, "blur_sigma": 2.0}),
    "NAGuidance": ("nag", {"nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5}),
}
AROUND_IT = {
    "PerturbedAttentionGuidance": ("pag", {"scale": 3.0}),
    "RescaleCFG": ("model_advanced", {"multiplier": 0.7}),
    "APG": ("apg", {"eta": 1.0, "norm_threshold": 5.0, "momentum": 0.1}),
    "CFGZeroStar": ("cfg", {}),
    "CFGNorm": ("cfg", {"strength": 1.0}),
    "Mahiro": ("mahiro", {}),
    "TCFG": ("tcfg", {}),
    "FreSca": ("fresca", {"scale_low": 1.0, "scale_high": 1.25, "freq_cutoff": 4}),
    "EpsilonScaling": ("eps", {"scaling_factor": 1.01}),
    "TemporalScoreRescaling": ("eps", {"tsr_k": 0.95, "tsr_sigma": 1.0}),
    "RenormCFG": ("lumina2", {"cfg_trunc": 100.0, "renorm_cfg": 1.0}),
    "VideoLinearCFGGuidance": ("video_model", {"min_cfg": 1.0}),
    "VideoTriangleCFGGuidance": ("video_model", {"min_cfg": 1.0}),
    "DifferentialDiffusion": ("differential_diffusion", {"strength": 1.0}),
    "PerpNeg": ("perpneg", {"empty_conditioning": [], "neg_scale": 1.0}),
    "SkipLayerGuidanceSD3": (
        "sd3",
        {"layers": "7", "scale": 3.0, "start_percent": 0.0, "end_percent": 1.0},
    ),
    "SkipLayerGuidanceDiT": ("slg", {"scale": 3.0, "start_percent": 0.0, "end_percent": 1.0, "double_layers": "7"}),
    "SkipLayerGuidanceDiTSimple": ("slg", {"start_percent": 0.0, "end_percent": 1.0, "double_layers": "7"}),
    "ScaleROPE": (
        "rope",
        {"scale_x": 1.0, "shift_x": 0.0, "scale_y": 1.0, "shift_y": 0.0, "scale_t": 1.0, "shift_t": 0.0},
    ),
    "CFGOverride": ("custom_sampler", {"cfg": 2.0, "start_percent": 0.0, "end_percent": 1.0}),
    "EasyCacheNode": (
        "easycache",
        {"reuse_threshold": 0.2, "start_percent": 0.0, "end_percent": 1.0, "verbose": False},
    ),
    "LazyCacheNode": (
        "easycache",
        {"reuse_threshold": 0.2, "start_percent": 0.0, "end_percent": 1.0, "verbose": False},
    ),
    "ModelComputeDtype": ("model_advanced", {"dtype": "fp32"}),
    "ModelAttentionBackend": ("model_advanced", {"attention": "pytorch attention"}),
    "ContextWindowsManualNode": (
        "context_windows",
        {
            "context_length": 8,
            "context_overlap": 2,
            "context_schedule": "standard_static",
            "context_stride": 1,
            "closed_loop": False,
            "fuse_method": "pyramid",
            "dim": 3,
            "freenoise": True,  # newer hosts only
        },
    ),
    "TorchCompileModel": ("torch_compile", {"backend": "inductor"}),
}
IN_THE_WEIGHTS = {
    "UNetTemporalAttentionMultiply": (
        "attention_multiply",
        {"self_structural": 1.1, "self_temporal": 0.9, "cross_structural": 1.2, "cross_temporal": 0.8},
    ),
    "UNetSelfAttentionMultiply": ("attention_multiply", {"q": 1.2, "k": 1.0, "v": 0.8, "out": 1.1}),
    "UNetCrossAttentionMultiply": ("attention_multiply", {"q": 1.2, "k": 1.0, "v": 0.8, "out": 1.1}),
}
# The others do nothing to a single positive prompt; ToMe nothing to SDXL, as it wants attention at full resolution.
DIFFERENT = ("FreeU", "FreeU_V2", "HyperTile", "PatchModelAddDownscale", *IN_THE_WEIGHTS)


def apply(node: str, models, **changed):
    """The MODEL behind the host's node; skips where this host has none of that name."""
    module, inputs = {**IN_THE_NETWORK, **AROUND_IT, **IN_THE_WEIGHTS}[node]
    try:
        cls = getattr(importlib.import_module(f"comfy_extras.nodes_{module}"), node)
    except (ImportError, AttributeError):
        pytest.skip(f"this ComfyUI has no {node}")
    function = cls.execute if hasattr(cls, "execute") else getattr(cls(), cls.FUNCTION)
    known = inspect.signature(function).parameters
    return function(models.model, **{name: value for name, value in {**inputs, **changed}.items() if name in known})[0]


def losses_and_gradients(model, clip, plan: str = "keep all", shift=None):
    """Of two images at high and low noise, in one session; the first encoder's vectors moved by `shift`."""
    from dti_pack.nodes.host.training.memory import TrainingMemory
    from dti_pack.nodes.host.training.memory_plan import ladder
    from dti_pack.nodes.host.training.session import training_session

    generator = torch.Generator().manual_seed(7)
    latents = torch.randn((2, 4, 16, 16), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    framing = torch.tensor([[128, 128, 0, 0, 128, 128]] * 2)
    memory = TrainingMemory([step for step in ladder(2) if step.name == plan])
    with training_session(model, clip, memory) as (text_encoder, denoiser):
        ids = text_encoder.token_ids("dog")
        start = {key: v.rows(ids[key]) for key, v in text_encoder.vocabularies.items()}
        start["clip_l"] = start["clip_l"] + (0.0 if shift is None else shift)
        vectors = {key: value.clone().requires_grad_() for key, value in start.items()}
        conditioning = text_encoder.encode(["a photo of a {}", "a {} on a red table"], vectors)
        losses = denoiser.loss(latents, conditioning, denoiser.sigmas(torch.tensor([0.9, 0.2])), noise, framing)
        losses.mean().backward()
        return losses.detach().clone(), {key: value.grad.clone() for key, value in vectors.items()}


@pytest.fixture(scope="module")
def plain(models):
    with torch.inference_mode():
        return losses_and_gradients(models.model, models.clip)


@pytest.mark.parametrize("node", [*IN_THE_NETWORK, *IN_THE_WEIGHTS])
def test_gradient_through_what_is_in_the_network(models, node_mode, plain, node):
    """Central differences along the gradient, as in test_gradient.py; HyperTile draws the same tiles each time."""
    model = apply(node, models)
    losses, gradients = losses_and_gradients(model, models.clip)
    assert (node in DIFFERENT) == (not torch.allclose(losses, plain[0], rtol=1e-5))
    slope = gradients["clip_l"].norm()
    step = 2e-2 * gradients["clip_l"] / slope
    ahead, behind = (losses_and_gradients(model, models.clip, shift=sign * step)[0].double().mean() for sign in (1, -1))
    assert ((ahead - behind) / 4e-2).item() == pytest.approx(slope.item(), rel=0.05)


@pytest.mark.parametrize("node", IN_THE_NETWORK)
def test_recomputed_passes_equal_the_first(models, node_mode, node):
    model = apply(node, models)
    kept, again = (losses_and_gradients(model, models.clip, plan) for plan in ("keep all", "recompute all blocks"))
    torch.testing.assert_close(again[0], kept[0])
    torch.testing.assert_close(again[1], kept[1], rtol=1e-3, atol=1e-7)


def with_chance(model):
    """With a patch that draws from the global generator, as ToMe and HyperTile do where they find something to do."""
    patched = model.clone()
    patched.set_model_attn1_patch(lambda q, k, v, extra_options: (q * (0.5 + torch.rand(1)), k, v))
    return patched


def test_chance_is_that_of_the_noise_level_whatever_ran_before(models, node_mode):
    """A run that goes on has to draw what the run that was not stopped has drawn."""
    from dti_pack.nodes.host.training.session import training_session

    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(7))
    framing = torch.tensor([[64, 64, 0, 0, 64, 64]] * 2)
    with training_session(with_chance(models.model), models.clip) as (text_encoder, denoiser), torch.no_grad():
        vectors = {key: table.rows([5]) for key, table in text_encoder.vocabularies.items()}
        conditioning = text_encoder.encode(["a {}", "a {}"], vectors)
        sigma = denoiser.sigmas(torch.tensor([0.2, 0.7]))
        first, second = (denoiser.loss(latents, conditioning, sigma, latents, framing) for _ in range(2))
        torch.manual_seed(1)
        third = denoiser.loss(latents, conditioning, sigma, latents, framing)
    assert torch.equal(first, second) and torch.equal(first, third)


def refused(model, clip) -> str:
    with pytest.raises(ValueError) as caught:
        losses_and_gradients(model, clip)
    return str(caught.value)


def test_what_has_no_gradient_is_refused_by_name(models, node_mode):
    """The host's bislerp gives gradients that are not numbers; what stands beside it is not to blame."""
    model = apply("PatchModelAddDownscale", models, upscale_method="bislerp")
    message = refused(apply("FreeU", SimpleNamespace(model=model)), models.clip)
    assert "changed by PatchModelAddDownscale (nodes_model_downscale), and training cannot" in message
    assert "not finite" in message
    assert "FreeU" not in message


def without_gradient(x, extra_options):
    return x.detach()


class ThroughNumpy:
    """As a pack's patch may be: an object."""

    def __call__(self, q, k, v, extra_options):
        return torch.from_numpy(q.cpu().numpy()), k, v


@pytest.mark.parametrize(
    ("place", "patch", "message"),
    [
        ("attn2_output_patch", without_gradient, "without_gradient .*no gradient reaches the text"),
        ("attn1_patch", ThroughNumpy(), "ThroughNumpy .*requires grad"),
        ("attn1_patch", lambda q, k, v, extra_options: extra_options["nothing"], "KeyError: 'nothing'"),
    ],
)
def test_patches_of_other_packs(models, node_mode, place, patch, message):
    model = models.model.clone()
    model.set_model_patch(patch, place)
    assert re.search(message, refused(model, models.clip))


def test_stop_while_patches_are_tried_is_not_taken_for_their_fault(models, node_mode):
    import comfy.model_management

    def stop(q, k, v, extra_options):
        comfy.model_management.interrupt_current_processing()
        return q, k, v

    model = models.model.clone()
    model.set_model_patch(stop, "attn1_patch")
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        losses_and_gradients(model, models.clip)
    comfy.model_management.interrupt_current_processing(False)


def test_the_wrapper_around_a_pass_is_called_as_in_sampling(models, node_mode, plain):
    seen = []

    def wrapper(apply_model, call):
        seen.append((call["cond_or_uncond"], len(call["input"]), call["c"]["transformer_options"]))
        return apply_model(call["input"], call["timestep"], **call["c"])

    model = models.model.clone()
    network = model.model.diffusion_model
    wrapper.network = network  # some hold on to it
    before = [id(weight) for weight in network.parameters()]
    model.set_model_unet_function_wrapper(wrapper)
    losses, gradients = losses_and_gradients(model, models.clip)
    torch.testing.assert_close(losses, plain[0])
    torch.testing.assert_close(gradients, plain[1])
    assert [id(weight) for weight in network.parameters()] == before
    assert all(cond == [0] and rows == 1 for cond, rows, _ in seen)
    schedule = seen[-1][2]["sample_sigmas"]
    assert schedule[-1] == 0 and bool((schedule.diff() < 0).all())
    assert all(bool((options["sigmas"] == schedule).any()) for _, _, options in seen)


def test_hypernetwork(models, node_mode, tmp_path):
    """Its layers are made in inference mode, like the model's."""
    from comfy_extras.nodes_hypernetwork import load_hypernetwork_patch

    generator = torch.Generator().manual_seed(3)

    def layers(width):
        return {
            f"linear.{i}.{name}": 0.03 * torch.randn(shape, generator=generator)
            for i in (0, 1)
            for name, shape in (("weight", (width, width)), ("bias", (width,)))
        }

    file = tmp_path / "hypernetwork.pt"
    torch.save({width: [layers(width), layers(width)] for width in (96, 128, 160)}, file)
    model = models.model.clone()
    patch = load_hypernetwork_patch(str(file), 1.0)
    model.set_model_attn1_patch(patch)
    model.set_model_attn2_patch(patch)
    losses, gradients = losses_and_gradients(model, models.clip)
    again, gradients_again = losses_and_gradients(model, models.clip, "recompute all blocks")
    torch.testing.assert_close(again, losses)
    torch.testing.assert_close(gradients_again, gradients, rtol=1e-3, atol=1e-7)
    slope = gradients["clip_l"].norm()
    step = 2e-2 * gradients["clip_l"] / slope
    ahead, behind = (losses_and_gradients(model, models.clip, shift=sign * step)[0].double().mean() for sign in (1, -1))
    assert ((ahead - behind) / 4e-2).item() == pytest.approx(slope.item(), rel=0.05)


@pytest.mark.parametrize("node", AROUND_IT)
def test_what_is_around_the_network_changes_nothing(models, node_mode, plain, node):
    losses, gradients = losses_and_gradients(apply(node, models), models.clip)
    torch.testing.assert_close(losses, plain[0])
    torch.testing.assert_close(gradients, plain[1])


@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode", "TorchCompileModel"])
def test_shortcuts_are_named(models, node_mode, node, caplog):
    with caplog.at_level(logging.WARNING):
        losses_and_gradients(apply(node, models), models.clip)
    assert f"trains without {node.removesuffix('Node')}," in caplog.text
