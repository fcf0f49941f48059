"""Images become the VAE's posterior, mean and deviation, also where memory is short."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from skimage import data, transform

HEIGHT, WIDTH = 576, 640  # more than the host's tiles of 512


@pytest.fixture(scope="module")
def vae(models):
    """A small autoencoder of SDXL's kind, random, in the place of TAESD."""
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.model_patcher import ModelPatcher

    torch.manual_seed(2)
    config = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    shape = {"ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    small = AutoencoderKL(ddconfig={**config, **shape}, embed_dim=4).eval().requires_grad_(False)
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1)
    vae = copy.copy(models.vae)
    vae.first_stage_model = small
    vae.patcher = ModelPatcher(small, torch.device("cpu"), torch.device("cpu"))
    return vae


@pytest.fixture(scope="module")
def picture():
    return torch.tensor(transform.resize(data.chelsea(), (HEIGHT, WIDTH))).float()


def encode(vae, picture):
    from dti_pack.nodes.host.training.vae import encode_images

    return encode_images(vae, [picture], HEIGHT, [("a photo of a {}",)])[0]


def test_mean_and_deviation(vae, picture, node_mode):
    image = encode(vae, picture)
    small = vae.first_stage_model
    moments = small.quant_conv(small.encoder(vae.process_input(picture.movedim(-1, 0)[None])))[0]
    torch.testing.assert_close(image.mean, moments[:4], rtol=1e-2, atol=2e-3)
    torch.testing.assert_close(image.std, (0.5 * moments[4:]).exp(), rtol=1e-2, atol=2e-3)
    assert not image.mean.is_inference() and not image.std.is_inference()


def test_tiles_keep_the_deviation(vae, picture, node_mode, monkeypatch, caplog):
    import comfy.model_management

    whole = encode(vae, picture)
    encode_small = vae.first_stage_model.encode

    def encode_if_it_fits(x, *args, **kwargs):
        if x.shape[-2:] == (HEIGHT, WIDTH):
            raise comfy.model_management.OOM_EXCEPTION("no memory for the whole picture")
        return encode_small(x, *args, **kwargs)

    monkeypatch.setattr(vae.first_stage_model, "encode", encode_if_it_fits)
    with caplog.at_level(logging.INFO):
        tiled = encode(vae, picture)
    assert "encoded in tiles" in caplog.text
    assert tiled.std.shape == tiled.mean.shape == whole.mean.shape
    for of_tiles, of_whole in ((tiled.mean, whole.mean), (tiled.std, whole.std)):
        assert torch.corrcoef(torch.stack([of_tiles.flatten(), of_whole.flatten()]))[0, 1] > 0.9
        assert (of_tiles.mean() / of_whole.mean()).item() == pytest.approx(1.0, abs=0.1)


def test_no_deviation_where_there_is_none(models, picture, node_mode):
    assert not encode(models.vae, picture).std.any()


def test_masks_become_weights_of_the_latents(models, picture, node_mode):
    from dti_pack.nodes.host.training.vae import encode_images

    mask = torch.zeros(picture.shape[:2])
    mask[: HEIGHT // 2] = 1
    captions = [("a photo of a {}",)]
    plain, masked = (encode_images(models.vae, [picture], HEIGHT, captions, masks, 0.25)[0] for masks in ([], [mask]))
    assert plain.weights is None
    assert torch.equal(masked.mean, plain.mean)
    rows = masked.mean.shape[1] // 2
    assert masked.weights.shape == masked.mean.shape[1:] and not masked.weights.is_inference()
    assert (masked.weights[:rows] == 1).all() and (masked.weights[rows:] == 0.25).all()


def test_mirror_images_are_encoded_behind_the_others(models, picture, node_mode):
    from dti_pack.nodes.host.training.vae import encode_images

    mask = torch.zeros(picture.shape[:2])
    mask[:, : WIDTH // 2] = 1
    image, mirrored = encode_images(models.vae, [picture], HEIGHT, [("a {}",)], [mask], 0.0, mirror=True)
    (alone,) = encode_images(models.vae, [picture.flip(1)], HEIGHT, [("a {}",)])
    assert torch.equal(mirrored.mean, alone.mean) and not torch.equal(mirrored.mean, image.mean)
    assert torch.equal(mirrored.weights, image.weights.flip(1)) and not mirrored.weights.is_inference()
    assert (mirrored.captions, mirrored.original_size) == (image.captions, image.original_size)


def test_images_in_their_own_shape_with_room_around(models, picture, node_mode):
    """At 512 pixels 576 x 640 is nearest to a square, 576 x 480 to 576 x 448; each a ninth larger for its room."""
    from dti_pack.dti_core.training.data import draw_batch
    from dti_pack.nodes.host.training.vae import encode_images

    asked = {"crop": "keep aspect", "random_crop": 0.1}
    tall = picture[:, :480].contiguous()
    encoded = encode_images(models.vae, [picture, tall], 512, [("a {}",)] * 2, **asked)
    sizes = [tuple(image.mean.shape[1:]) for image in encoded]
    assert [image.window for image in encoded] == [(64, 64), (72, 56)]
    assert sizes == [(71, 79), (80, 67)]
    batch = draw_batch(encoded, 32, torch.Generator().manual_seed(0))
    for (height, width, top, left, *target), latents in zip(batch.framing.tolist(), batch.latents, strict=True):
        image = encoded[0 if (height, width) == (576, 640) else 1]
        assert image.original_size == (height, width)
        rows, columns = (edge // 8 for edge in target)
        top, left = top // 8, left // 8
        assert latents.shape[1:] == (rows, columns) == image.window
        # This autoencoder has no deviation.
        assert torch.equal(latents, image.mean[:, top : top + rows, left : left + columns])
