"""The command that says how an embedding compares with a checkpoint's words, and kappa with the gradient."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest
from PIL import Image


def test_a_model_in_parts(load_models, tmp_path):
    """Flux, of the files that people have it in."""
    import comfy.sd
    from dti_pack.nodes.host.encoder_probe import EncoderProbe
    from small_families.parts import encoder_files, split
    from small_families.random_checkpoint import write
    from small_families.registry import FAMILIES

    from benchmarks.in_distribution import load, norms_table

    family = FAMILIES["flux"]
    write(tmp_path / "flux.safetensors", family)
    split(tmp_path / "flux.safetensors", family, tmp_path)
    files = {
        "checkpoint": None,
        "clip": [tmp_path / "text_encoders" / file for file in encoder_files(family)],
        "unet": tmp_path / "diffusion_models" / "flux.safetensors",
        "vae": tmp_path / "vae" / "flux.safetensors",
    }
    model, clip, vae = load(Namespace(**files, clip_type="flux"))
    keys = [row.split("|")[1].strip() for row in norms_table(EncoderProbe(clip).text_encoder.vocabularies)[2:]]
    assert keys == ["clip_l", "t5xxl"]
    assert model.model.latent_format.latent_channels == 16
    assert isinstance(vae, comfy.sd.VAE)
    with pytest.raises(SystemExit, match="--clip-type is 'fluks'; choose one of stable_diffusion, "):
        load(Namespace(**files, clip_type="fluks"))


def test_norms_and_gradients_of_a_checkpoint(models, small_checkpoint, tmp_path):
    from dti_pack.nodes.host.encoder_probe import EncoderProbe

    from benchmarks.in_distribution import gradient_norms, gradient_table, norms_table

    first, _, *rows = norms_table(EncoderProbe(models.clip).text_encoder.vocabularies)
    assert first.startswith("| encoder | words | width | mean norm (m*) |")
    cells = [cell.strip() for cell in rows[0].split("|")]
    # The random checkpoint's words have CLIP-L's mean norm, to what 64 coordinates give.
    assert (cells[1], cells[3]) == ("clip_l", "64")
    assert float(cells[4]) == pytest.approx(0.39, rel=0.02)
    assert float(cells[8]) == pytest.approx(float(cells[4]) / 8, rel=0.01)

    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    options = Namespace(images=tmp_path, resolution=64, initializer="dog", batches=3)
    norms = gradient_norms((models.model, models.clip, models.vae), options)
    assert {key: len(values) for key, values in norms.items()} == {"clip_l": 3, "clip_g": 3}
    assert all(value > 0 for values in norms.values() for value in values)
    median = sorted(norms["clip_g"])[1]
    row = gradient_table(norms, kappa=median)[-1]
    assert row.startswith("| clip_g |") and row.endswith(" 1e+02 % |")
