"""The same SDXL in ComfyUI and in diffusers: losses and gradients of both are one, but for rounding.

The two share no line behind dti_core's protocols: tokenizing, text encoders, pooling, sizes, noise levels, the UNet
and its objective are each other's oracle.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.backends.small_pipeline import scheduler, small_pipeline
from tests.rounding import EPS32

CAPTIONS = ("a photo of a {}", "{}, on a red table in the rain", "The dog beside a {}'s   House, 20 years on.")

# Sizes of the image, corner and edges of the crop: all different.
FRAMING = torch.tensor([[768, 1024, 0, 16, 128, 128], [640, 128, 8, 0, 128, 128], [3000, 2000, 24, 64, 192, 160]])


@pytest.fixture(scope="module")
def pipe(models):
    """The pipeline with the weights of the host's models, which are not changed."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    from comfy_host.environment import comfyui_tree

    pipe = small_pipeline(comfyui_tree() / "comfy" / "sd1_tokenizer")
    unet = {f"model.diffusion_model.{k}": v for k, v in models.model.model.diffusion_model.state_dict().items()}
    pipe.unet.load_state_dict(convert_ldm_unet_checkpoint(_floats(unet), pipe.unet.config))
    for key, model in (("clip_l", pipe.text_encoder), ("clip_g", pipe.text_encoder_2)):
        weights = _floats(getattr(models.clip.cond_stage_model, key).transformer.state_dict())
        # Some versions of transformers have the text model itself where others have it as "text_model".
        names = {name.removeprefix("text_model."): name for name in model.state_dict()}
        renamed = {names.get(name.removeprefix("text_model.")): weight for name, weight in weights.items()}
        renamed.pop(None, None)  # CLIP-L has no projection here
        model.load_state_dict(renamed)
    return pipe


@pytest.fixture(params=["epsilon", "v_prediction"])
def backends(request, models, pipe, node_mode):
    """Open sessions of the host and of the pipeline, for both objectives; the second with zero terminal SNR."""
    import comfy.model_management
    from dti_pack.dti_core.backends.diffusers_sdxl import pipeline_session
    from dti_pack.nodes.host.training.session import training_session

    is_v = request.param == "v_prediction"
    with torch.inference_mode(False):
        pipe.scheduler = scheduler(prediction_type=request.param, rescale_betas_zero_snr=is_v)
    model = _v_prediction(models.model) if is_v else models.model
    with training_session(model, models.clip) as host, pipeline_session(pipe) as pipeline:
        yield host, pipeline
    # The host would keep the other objective on the model that tests share, until it loads it again.
    comfy.model_management.unload_all_models()


def test_vocabularies_and_noise_levels_agree(backends):
    (host_text, host), (text, denoiser) = backends
    for key, vocabulary in text.vocabularies.items():
        known = host_text.vocabularies[key]
        assert vocabulary.special_ids == known.special_ids
        assert torch.equal(vocabulary.table, known.table.float())
        assert vocabulary.words == known.words
    assert text.token_ids("Dog teapot") == host_text.token_ids("Dog teapot")
    u = (torch.arange(1000) + 0.5) / 1000
    # diffusers computes betas in float32; for zero terminal SNR they end in a difference of nearly equal numbers.
    torch.testing.assert_close(denoiser.sigmas(u), host.sigmas(u), rtol=1e-4, atol=0)
    assert torch.equal(denoiser._timesteps(host.sigmas(u)), torch.arange(1000))


@pytest.mark.parametrize("n_vectors", [1, 3])
def test_text_agrees_and_is_pooled_at_the_end_of_the_prompt(backends, n_vectors):
    (host_text, _), (text, _) = backends
    vectors = _vectors(text, n_vectors)
    expected, got = host_text.encode(CAPTIONS, vectors), text.encode(CAPTIONS, vectors)
    # Twelve layers of sums; measured are 5 eps with four.
    for name in ("context", "pooled"):
        a, b = getattr(expected, name), getattr(got, name)
        assert a.shape == b.shape
        torch.testing.assert_close(b, a, atol=50 * EPS32 * a.abs().max().item(), rtol=0)
    longer = text.encode([caption + " at night" for caption in CAPTIONS], vectors)
    assert (longer.pooled - got.pooled).abs().amax(dim=1).min() > 1e-2


@pytest.mark.parametrize(("u", "masked"), [(0.1, False), (0.5, False), (0.5, True), (0.999, False)])
def test_losses_and_gradients_agree(backends, u, masked):
    (host_text, host), (text, denoiser) = backends
    latents, noise = _latents_and_noise()
    sigma = host.sigmas(torch.tensor([u, 0.9 * u, 0.8 * u]))
    weights = _upper_half(latents) if masked else None
    results = []
    for text_encoder, network in ((host_text, host), (text, denoiser)):
        vectors = {key: rows.requires_grad_() for key, rows in _vectors(text, 2).items()}
        conditioning = text_encoder.encode(CAPTIONS, vectors)
        losses = network.loss(latents, conditioning, sigma, noise, FRAMING, weights)
        losses.sum().backward()
        results.append((losses.detach(), {key: rows.grad for key, rows in vectors.items()}))
    (expected, gradients), (losses, others) = results
    # Through the depth of a UNet and a text encoder; measured are 2 eps in the losses and 40 in the gradients.
    torch.testing.assert_close(losses, expected, rtol=50 * EPS32, atol=0)
    for key, gradient in gradients.items():
        scale = gradient.abs().max().item()
        assert scale > 1e-3
        torch.testing.assert_close(others[key], gradient, atol=500 * EPS32 * scale, rtol=0)


def test_training_agrees(backends):
    """The same steps to the same vectors; 0.04 turns each by 2.3 degrees whatever the gradient's size."""
    from dti_pack.dti_core.training import TrainingConfig, train
    from dti_pack.dti_core.training.data import TrainingImage

    generator = torch.Generator().manual_seed(5)
    images = [
        TrainingImage(torch.randn((4, 16, 20), generator=generator), torch.full((4, 16, 20), 0.1), (768, 960), CAPTIONS)
        for _ in range(3)
    ]
    config = TrainingConfig("dog", steps=5, batch_size=2, microbatch_size=1)
    expected, got = (train(*backend, images, config) for backend in backends)
    for key, rows in expected.items():
        angle = torch.nn.functional.cosine_similarity(rows.double(), got[key].double()).clamp(max=1).acos()
        assert angle.max().rad2deg() < 0.001


def _vectors(text_encoder, n):
    generator = torch.Generator().manual_seed(3)
    return {
        key: vocabulary.mean * torch.nn.functional.normalize(torch.randn((n, vocabulary.dim), generator=generator))
        for key, vocabulary in text_encoder.vocabularies.items()
    }


def _latents_and_noise():
    generator = torch.Generator().manual_seed(7)
    # A VAE's latents have a deviation of about 1 / 0.13.
    return 7.0 * torch.randn((3, 4, 16, 16), generator=generator), torch.randn((3, 4, 16, 16), generator=generator)


def _upper_half(latents):
    weights = torch.full((len(latents), 1, *latents.shape[2:]), 0.1)
    weights[:, :, : latents.shape[2] // 2] = 1.0
    return weights


def _v_prediction(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
    return ModelSamplingDiscrete().patch(model, "v_prediction", True)[0]


def _floats(weights):
    """Ordinary float32 copies of a node's inference tensors."""
    with torch.inference_mode(False):
        return {name: weight.to(torch.float32, copy=True) for name, weight in weights.items()}
