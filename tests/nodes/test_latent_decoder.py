"""Latents to small images, in the two ways of the host's previews."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch


def test_colours_are_those_of_the_hosts_previews(comfy_modules, monkeypatch):
    import folder_paths
    from comfy.latent_formats import SDXL
    from dti_pack.nodes.host.training.latent_decoder import latent_decoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        from latent_preview import Latent2RGBPreviewer

    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: [])
    latent = torch.randn((4, 6, 8), generator=torch.Generator().manual_seed(1))
    theirs = Latent2RGBPreviewer(SDXL().latent_rgb_factors, SDXL().latent_rgb_factors_bias)
    expected = torch.from_numpy(np.array(theirs.decode_latent_to_preview(latent[None]), np.float32))
    ours = latent_decoder(SDXL(), torch.device("cpu"))(latent)
    assert ours.shape == (6, 8, 3)
    assert ((ours * 255).floor() - expected).abs().max() <= 1  # a rounding may fall on the other side
    unknown = SDXL()
    unknown.latent_rgb_factors = None
    with pytest.raises(ValueError, match="no preview colours"):
        latent_decoder(unknown, torch.device("cpu"))


def test_taesd_is_used_where_its_file_is(comfy_modules, monkeypatch, tmp_path):
    import folder_paths
    from comfy.latent_formats import SDXL
    from comfy.taesd.taesd import TAESD
    from dti_pack.nodes.host.training.latent_decoder import latent_decoder
    from safetensors.torch import save_file

    file = tmp_path / "taesdxl_decoder.safetensors"
    generator = torch.Generator().manual_seed(0)
    taesd = TAESD()
    for weight in taesd.taesd_decoder.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5
    save_file(taesd.taesd_decoder.state_dict(), file)
    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: [file.name])
    monkeypatch.setattr(folder_paths, "get_full_path", lambda folder, name: str(tmp_path / name))
    latent = torch.randn((4, 6, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = ((taesd.decode(latent[None])[0].movedim(0, -1) + 1) / 2).clamp(0, 1)
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(latent_decoder(SDXL(), torch.device("cpu"))(latent), expected)
    assert expected.std() > 0 and torch.equal(torch.get_rng_state(), before)
    file.write_bytes(b"broken")
    assert latent_decoder(SDXL(), torch.device("cpu"))(latent).shape == (6, 8, 3)
