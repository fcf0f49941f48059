"""The whole chain, vector to text encoders to UNet to loss, against central differences on the host's modules."""

from __future__ import annotations

import pytest
import torch

from tests.rounding import EPS32

CAPTIONS = ("a photo of a {}", "a {} on a red table, in the rain", "the (small:1.3) {}")


@pytest.fixture
def chain(models, node_mode):
    """The loss of fixed data as a function of the vectors, one image per caption."""
    from dti_pack.nodes.host.training.session import training_session

    generator = torch.Generator().manual_seed(7)
    latents = torch.randn((3, 4, 16, 16), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    framing = torch.tensor([[128, 128, 0, 0, 128, 128]] * 3)
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        sigma = denoiser.sigmas(torch.tensor([0.2, 0.5, 0.8]))
        start = {
            key: vocabulary.rows(text_encoder.token_ids("dog teapot")[key])
            for key, vocabulary in text_encoder.vocabularies.items()
        }

        def loss(vectors):
            conditioning = text_encoder.encode(CAPTIONS, vectors)
            return denoiser.loss(latents, conditioning, sigma, noise, framing).mean()

        yield loss, start, (text_encoder, denoiser)


@pytest.mark.parametrize("key", ["clip_l", "clip_g"])
@pytest.mark.parametrize("row", [0, 1])
def test_gradient_matches_central_differences(chain, key, row):
    """The host computes in float32, so a loss near 1 carries rounding of a few 1e-7.

    Along the gradient, with a step of 2e-2 on a vector of norm 0.4, rounding adds about 3e-7 / 4e-2 to the
    difference, 1e-5; against slopes near 0.1 that is nothing. The third derivative adds up to 0.5 %.
    """
    loss, start, _ = chain
    vectors = {k: v.clone().requires_grad_() for k, v in start.items()}
    loss(vectors).backward()
    gradient = vectors[key].grad[row]
    slope = gradient.norm()
    assert slope > 1e-2
    step = torch.zeros_like(start[key])
    step[row] = 2e-2 * gradient / slope
    with torch.no_grad():
        ahead = loss({**start, key: start[key] + step}).double()
        behind = loss({**start, key: start[key] - step}).double()
    assert ((ahead - behind) / 4e-2).item() == pytest.approx(slope.item(), rel=0.02)


def test_detached_conditioning_gives_the_same_gradient(chain):
    """Training cuts the graph at the conditioning and joins it again; the gradient is that of the uncut graph."""
    loss, start, (text_encoder, denoiser) = chain
    whole = {k: v.clone().requires_grad_() for k, v in start.items()}
    loss(whole).backward()

    parts = {k: v.clone().requires_grad_() for k, v in start.items()}
    conditioning = text_encoder.encode(CAPTIONS, parts)
    leaf = conditioning.detached()
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn((3, 4, 16, 16), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    sigma = denoiser.sigmas(torch.tensor([0.2, 0.5, 0.8]))
    for i in range(3):
        rows = torch.tensor([i])
        framing = torch.tensor([[128, 128, 0, 0, 128, 128]])
        (1024 * denoiser.loss(latents[rows], leaf.select(rows), sigma[rows], noise[rows], framing).sum() / 3).backward()
    conditioning.backward(leaf, 1024)
    for key in start:
        # The same sums in another order, through the depth of a UNet and a text encoder: some ten eps of the largest.
        bound = 1000 * EPS32 * whole[key].grad.abs().max().item()
        torch.testing.assert_close(parts[key].grad, whole[key].grad, atol=bound, rtol=0)


def test_no_frozen_weight_receives_a_gradient(chain, models):
    loss, start, _ = chain
    vectors = {k: v.clone().requires_grad_() for k, v in start.items()}
    loss(vectors).backward()
    weights = [*models.model.model.parameters(), *models.clip.cond_stage_model.parameters()]
    assert len(weights) > 100
    assert all(weight.grad is None and not weight.requires_grad for weight in weights)
