"""Whole trainings on a small SANA pipeline: what they leave, in files and in the pipeline, and what they refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dti_core.backends.diffusers_sana import pipeline_session
from dti_core.backends.pipeline_images import encode_images
from dti_core.backends.pipeline_training import train_on_pipeline
from dti_core.files.embedding_file import load_embedding, save_embedding
from dti_core.methods import Options
from dti_core.training import TrainingConfig
from dti_core.training.evaluation_set import EvaluationSet
from tests.backends.sana_runs import CAPTIONS, CONFIG, KEY, session, trained
from tests.backends.small_sana import WIDTH
from tests.rounding import EPS32

ROOT = Path(__file__).parents[2]
MODELS = ("transformer", "text_encoder", "vae")


def values(sana) -> dict[str, torch.Tensor]:
    return {f"{m}.{name}": t.clone() for m in MODELS for name, t in getattr(sana, m).state_dict().items()}


def test_training_lowers_the_loss_and_keeps_the_norm(sana, images) -> None:
    config = TrainingConfig("dog", steps=40, batch_size=4, kappa=5e-5)
    before = values(sana)
    reports = []
    embedding = trained(sana, images, config, on_step=reports.append)
    after = values(sana)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with session(sana) as (text_encoder, denoiser):
        vocabulary = text_encoder.vocabularies[KEY]
        fixed = EvaluationSet(text_encoder, denoiser, encode_images(sana, images, 64, CAPTIONS))
        start = vocabulary.mean * torch.nn.functional.normalize(vocabulary.rows(text_encoder.token_ids("dog")[KEY]))
        losses = [fixed.loss({KEY: start}), fixed.loss(embedding.vectors)]
    for report in reports:
        norms = report.vectors[KEY].norm(dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, vocabulary.mean), rtol=8 * EPS32, atol=0)
    assert losses[1] < losses[0]


def test_the_file_says_what_it_is(sana, images, tmp_path) -> None:
    config = TrainingConfig("dog", steps=3, batch_size=2, kappa=5e-5, options=Options(zero_pad=2.0))
    embedding, plain = trained(sana, images, config), trained(sana, images)
    assert (embedding.vectors[KEY] - plain.vectors[KEY]).abs().max() > 1e-3
    assert "dti.zero_pad" not in plain.metadata
    save_embedding(embedding, tmp_path / "dog.safetensors")
    assert list(load_file(tmp_path / "dog.safetensors")) == ["emb_params"]
    read = load_embedding(tmp_path / "dog.safetensors")
    assert read.widths == {KEY: WIDTH}
    # As a file has it that was trained on Lumina 2 in ComfyUI, for the same Gemma.
    assert read.metadata["dti.rows"] == "token table"
    assert read.metadata["dti.instruction"] == "another"
    assert (read.metadata["dti.zero_pad"], read.metadata["dti.kappa"]) == ("2.0", "5e-05")
    assert (read.metadata["dti.resolution"], read.metadata["modelspec.resolution"]) == ("64", "64x64")
    assert "modelspec.prediction_type" not in read.metadata


def test_models_are_left_as_they_were(sana, images) -> None:
    """In values, types, modes and hooks, also after a run that fails; and the tokenizer."""
    for model in (sana.transformer, sana.text_encoder, sana.vae):
        model.to(torch.bfloat16)
    sana.transformer.train()
    sana.text_encoder.get_input_embeddings().requires_grad_(False)
    sana.tokenizer.padding_side = "left"
    before, n_tokens = values(sana), len(sana.tokenizer)
    modules = [module for m in MODELS for module in getattr(sana, m).modules()]
    parameters = [parameter for m in MODELS for parameter in getattr(sana, m).parameters()]
    modes = [module.training for module in modules]
    gradients = [parameter.requires_grad for parameter in parameters]

    def stop(report) -> None:
        assert not any(p.requires_grad for p in sana.transformer.parameters())
        assert sana.text_encoder.dtype == torch.float32
        raise InterruptedError

    with pytest.raises(InterruptedError):
        trained(sana, images, on_step=stop)
    after = values(sana)
    assert all(after[name].dtype == tensor.dtype for name, tensor in before.items())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [module.training for module in modules] == modes
    assert [parameter.requires_grad for parameter in parameters] == gradients
    assert all(parameter.grad is None for parameter in parameters)
    assert (len(sana.tokenizer), sana.tokenizer.padding_side) == (n_tokens, "left")


def test_images_are_latents_without_deviation(sana, images) -> None:
    encoded = encode_images(sana, images, 64, CAPTIONS)
    assert [tuple(image.mean.shape) for image in encoded] == [(4, 2, 3), (4, 3, 2)]
    assert all(image.pixels_per_latent == 32 and not image.std.any() for image in encoded)
    wide = encode_images(sana, [torch.full((64, 64, 3), 0.25)], 64, CAPTIONS[:1])[0]
    with torch.no_grad():
        expected = sana.vae.encode(torch.full((1, 3, 64, 64), -0.5)).latent[0]
    torch.testing.assert_close(wide.mean, expected)


def test_bad_settings_are_refused_before_images_are_encoded(sana, images, monkeypatch) -> None:
    monkeypatch.setattr(sana.vae, "encode", None)
    padded = TrainingConfig("dog", options=Options(zero_pad=2.0))
    for config, arguments, message in (
        (TrainingConfig(" "), {}, "is empty"),
        (TrainingConfig("d e", n_vectors=1), {}, "n_vectors is 1"),
        (CONFIG, {"captions": [["a" * 299 + "{}"]]}, "is 1 tokens longer than the pipeline reads"),
        (padded, {"captions": [["a" * 290 + "{}"]]}, "is 7 tokens longer"),
        (CONFIG, {"resolution": 80}, "multiple of 32, such as 768"),
    ):
        with pytest.raises(ValueError, match=message):
            train_on_pipeline(
                sana,
                images,
                config,
                **{"resolution": 64, "session": partial(pipeline_session, instruction=())} | arguments,
            )


def test_pipelines_of_other_kinds_are_refused(sana, images) -> None:
    class OtherPipeline:
        transformer = sana.transformer

    with pytest.raises(ValueError, match="pipeline is OtherPipeline"):
        train_on_pipeline(OtherPipeline(), images, CONFIG)
    sana.text_encoder.get_input_embeddings()._hf_hook = object()  # as accelerate marks a module that it moves
    with pytest.raises(ValueError, match=r"offloads.*remove_all_hooks"), session(sana):
        pass
    sana.vae = None
    with pytest.raises(ValueError, match="no vae"), session(sana):
        pass


def test_the_example_trains(sana, tmp_path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    sana.save_pretrained(tmp_path / "pipeline")
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (80, 64, 4), dtype=np.uint8)
    image_module.fromarray(pixels).save(tmp_path / "images" / "dog.png")
    (tmp_path / "images" / "dog.txt").write_text("a {} b\nc {}")
    settings = ["--resolution", "64", "--steps", "2", "--batch-size", "1", "--kappa", "5e-5", "--zero-pad", "2"]
    script = str(ROOT / "examples" / "train_with_diffusers.py")
    command = [sys.executable, script, str(tmp_path / "pipeline"), str(tmp_path / "images"), "dog", *settings]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    output = tmp_path / "my_dog.safetensors"
    result = subprocess.run(
        [*command, "--output", str(output)], env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    read = load_embedding(output)
    assert (read.metadata["dti.steps"], read.metadata["dti.zero_pad"]) == ("2", "2.0")
    assert read.metadata["dti.instruction"] == "as the pipeline's"
