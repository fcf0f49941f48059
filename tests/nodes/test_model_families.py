"""Checkpoints that look like SDXL and are not quite: inpainting and editing models, the refiner."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.fixture(scope="module")
def inpainting(load_models, small_checkpoint, tmp_path_factory):
    """The small SDXL with five more channels, as SDXL-inpainting has: mask and masked latents."""
    weights = load_file(small_checkpoint)
    more = 0.2 * torch.randn((len(weights[CONV_IN]), 5, 3, 3), generator=torch.Generator().manual_seed(5))
    weights[CONV_IN] = torch.cat([weights[CONV_IN], more.half()], dim=1)
    file = tmp_path_factory.mktemp("inpainting") / "inpainting.safetensors"
    save_file(weights, file)
    return load_models(file)


@pytest.fixture(scope="module")
def refiner(load_models, tmp_path_factory):
    """A small refiner: one text encoder, whose tokenizer is that of two; another adm."""
    import comfy.sdxl_clip
    import comfy.supported_models
    import random_sdxl
    import small_sdxl as arch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.supported_models_base import ClipTarget
    from comfy.taesd.taesd import TAESD

    unet = {**arch.UNET, "context_dim": arch.CLIP_G_WIDTH, "adm_in_channels": arch.CLIP_G_WIDTH + 5 * 256}

    class Encoder(comfy.sdxl_clip.SDXLRefinerClipModel):
        def __init__(self, device="cpu", dtype=None, model_options=None):
            sizes = {"clip_g_model_config": arch.text_config(arch.CLIP_G_WIDTH)}
            super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})

    class SmallRefiner(comfy.supported_models.SDXLRefiner):
        unet_config = {key: unet[key] for key in comfy.supported_models.SDXLRefiner.unet_config}  # noqa: RUF012
        unet_extra_config = arch.SmallSDXL.unet_extra_config

        def clip_target(self, state_dict=None):
            return ClipTarget(arch.SmallTokenizer, Encoder)

    with torch.device("meta"):
        parts = UNetModel(**unet), Encoder(device="meta"), TAESD(latent_channels=arch.LATENT_CHANNELS)
        shapes = random_sdxl.layout(SmallRefiner(unet), *parts)
    scale = {
        "first_stage_model.vae_scale": torch.tensor(arch.VAE_SCALE),
        "first_stage_model.vae_shift": torch.zeros(()),
    }
    file = tmp_path_factory.mktemp("refiner") / "refiner.safetensors"
    random_sdxl.write(file, shapes, 0, scale)
    comfy.supported_models.models.append(SmallRefiner)
    yield load_models(file)
    comfy.supported_models.models.remove(SmallRefiner)


def trained(models, steps=3):
    from dti_pack.dti_core.training import TrainingConfig, train
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.vae import encode_images

    picture = torch.rand((96, 128, 3), generator=torch.Generator().manual_seed(1))
    data = encode_images(models.vae, [picture], 96, [("a photo of a {}",)])
    reports = []
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        denoiser.check_latents(data[0])
        config = TrainingConfig("dog", steps=steps, batch_size=2)
        return train(text_encoder, denoiser, data, config, reports.append), reports


def loss_and_gradient(models, shift=None):
    from dti_pack.nodes.host.training.session import training_session

    generator = torch.Generator().manual_seed(7)
    latents = torch.randn((2, 4, 16, 16), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    framing = torch.tensor([[128, 128, 0, 0, 128, 128], [96, 128, 0, 32, 96, 96]])
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        ids = text_encoder.token_ids("dog")
        start = text_encoder.vocabularies["clip_g"].rows(ids["clip_g"])
        vector = (start + (0.0 if shift is None else shift)).requires_grad_()
        others = {key: v.rows(ids[key]) for key, v in text_encoder.vocabularies.items() if key != "clip_g"}
        conditioning = text_encoder.encode(["a photo of a {}", "a {} on a table"], {**others, "clip_g": vector})
        sigma = denoiser.sigmas(torch.tensor([0.9, 0.2]))
        loss = denoiser.loss(latents, conditioning, sigma, noise, framing).mean()
        loss.backward()
        return loss.item(), vector.grad.clone()


@pytest.mark.parametrize("family", ["inpainting", "refiner"])
def test_gradient(request, node_mode, family):
    models = request.getfixturevalue(family)
    _, gradient = loss_and_gradient(models)
    step = 2e-2 * gradient / gradient.norm()
    slope = (loss_and_gradient(models, step)[0] - loss_and_gradient(models, -step)[0]) / 4e-2
    assert slope == pytest.approx(gradient.norm().item(), rel=0.05)


def test_inpainting_channels_are_those_of_plain_sampling(inpainting, node_mode):
    """Sampling an empty latent with the host's own sampler, against a training pass at the same noise."""
    import comfy.sample
    from dti_pack.nodes.host.training.session import training_session

    seen = []

    def wrapper(apply_model, call):
        seen.append(call["c"]["c_concat"].clone())
        return apply_model(call["input"], call["timestep"], **call["c"])

    model = inpainting.model.clone()
    model.set_model_unet_function_wrapper(wrapper)
    conditioning = inpainting.clip.encode_from_tokens_scheduled(inpainting.clip.tokenize("a dog"))
    latent, noise = torch.zeros(1, 4, 16, 16), torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(3))
    comfy.sample.sample(model, noise, 1, 1.0, "euler", "normal", conditioning, conditioning, latent, disable_pbar=True)
    sampled, seen[:] = seen[0], []
    with training_session(model, inpainting.clip) as (text_encoder, denoiser):
        vectors = {key: torch.zeros(1, v.dim) for key, v in text_encoder.vocabularies.items()}
        text = text_encoder.encode(["a {}"], vectors)
        denoiser.loss(
            latent.clone(),
            text,
            denoiser.sigmas(torch.tensor([0.5])),
            noise.clone(),
            torch.tensor([[128, 128, 0, 0, 128, 128]]),
        )
    assert sampled.shape == (1, 5, 16, 16)
    torch.testing.assert_close(seen[-1], sampled)


def test_inpainting_model_trains(inpainting, node_mode):
    vectors, reports = trained(inpainting)
    assert set(vectors) == {"clip_l", "clip_g"}
    assert all(report.moved for report in reports)


def test_refiner_trains_its_one_encoder(refiner, node_mode, tmp_path):
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.files.embedding_file import load_embedding, save_embedding
    from dti_pack.nodes.host.training.text_encoder import check_fits

    vectors, reports = trained(refiner)
    assert list(vectors) == ["clip_g"]
    assert all(report.moved for report in reports)
    file = tmp_path / "refined.safetensors"
    save_embedding(ConceptEmbedding("refined", vectors, {}), file)
    embedding = load_embedding(file)
    torch.testing.assert_close(dict(embedding.vectors), vectors)
    check_fits(refiner.clip, embedding)


def test_refiners_clip_with_another_model_is_refused(models, refiner, node_mode):
    from dti_pack.nodes.host.training.session import training_session

    with (
        pytest.raises(ValueError, match=r"gives conditioning 96 wide.*takes 160"),
        training_session(models.model, refiner.clip),
    ):
        pass
