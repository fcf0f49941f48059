"""dti_core on a small random SDXL pipeline of diffusers; that it computes what ComfyUI does, tests/nodes tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dti_core.backends.diffusers_sdxl import pipeline_session
from dti_core.backends.pipeline_images import encode_images
from dti_core.backends.pipeline_training import train_on_pipeline
from dti_core.files.embedding_file import load_embedding, save_embedding
from dti_core.training import TrainingConfig
from tests.backends.small_pipeline import WIDTHS, scheduler, small_pipeline
from tests.rounding import EPS32

ROOT = Path(__file__).parents[2]
CONFIG = TrainingConfig("d", steps=3, batch_size=2)
MODELS = ("unet", "text_encoder", "text_encoder_2", "vae")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP tokenizer whose words are single letters."""
    folder = tmp_path_factory.mktemp("tokenizer")
    letters = "abcdefghijklmnopqrstuvwxyz<>_,"
    words = ["!", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture
def pipe(tokenizer_folder: Path):
    return small_pipeline(tokenizer_folder)


@pytest.fixture
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape, generator=generator) for shape in ((96, 128, 3), (150, 90, 3))]


def vectors(n: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {key: 0.4 * torch.randn((n, width), generator=generator) / width**0.5 for key, width in WIDTHS.items()}


def values(pipe) -> dict[str, torch.Tensor]:
    return {f"{m}.{name}": t.clone() for m in MODELS for name, t in getattr(pipe, m).state_dict().items()}


def put_into(pipe, tensors: dict[str, torch.Tensor], token: str) -> None:
    """The lines that README gives."""
    for key, suffix in (("clip_l", ""), ("clip_g", "_2")):
        pipe.load_textual_inversion(
            tensors[key],
            token=token,
            text_encoder=getattr(pipe, f"text_encoder{suffix}"),
            tokenizer=getattr(pipe, f"tokenizer{suffix}"),
        )


def test_a_prompt_reads_what_was_trained(pipe, images, tmp_path) -> None:
    """From images to a prompt in the pipeline itself, with the pooled text at the end of the prompt."""
    embedding = train_on_pipeline(pipe, images, CONFIG, "dog", [["a b {}, c"]], resolution=64)
    with pipeline_session(pipe) as (text_encoder, _), torch.no_grad():
        expected = text_encoder.encode(["a b {}, c"], embedding.vectors)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    put_into(pipe, load_file(tmp_path / "dog.safetensors"), "<dog>")
    prompt = {"prompt": "a b <dog>, c", "device": "cpu", "do_classifier_free_guidance": False}
    context, _, pooled, _ = pipe.encode_prompt(**prompt)
    bound = {"atol": 50 * EPS32 * expected.pooled.abs().max().item(), "rtol": 0}
    torch.testing.assert_close(expected.context, context, **bound)
    # With the eos_token_id of SDXL's files transformers pools at the concept, which has the highest id.
    assert (expected.pooled - pooled).abs().max() > 1e-2
    pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id
    torch.testing.assert_close(expected.pooled, pipe.encode_prompt(**prompt)[2], **bound)


def test_the_file_says_what_it_is(pipe, images, tmp_path) -> None:
    embedding = train_on_pipeline(pipe, images, CONFIG, "dog", resolution=64)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    read = load_embedding(tmp_path / "dog.safetensors")
    assert read.widths == WIDTHS
    assert (read.metadata["dti.steps"], read.metadata["dti.learning_rate"]) == ("3", "0.04")
    assert "dti.options" not in read.metadata
    assert read.metadata["dti.resolution"] == "64"
    assert read.metadata["modelspec.prediction_type"] == "epsilon"
    assert all(torch.equal(read.vectors[key], rows) for key, rows in embedding.vectors.items())


def test_models_are_left_as_they_were(pipe, images) -> None:
    """In values, types, modes and hooks, also after a run that fails."""
    pipe.to(torch.float16)
    pipe.unet.to(torch.bfloat16)  # fp16 has no convolutions on every CPU
    pipe.unet.train()
    pipe.text_encoder.get_input_embeddings().requires_grad_(False)
    before = values(pipe)
    modules = [module for m in MODELS for module in getattr(pipe, m).modules()]
    parameters = [parameter for m in MODELS for parameter in getattr(pipe, m).parameters()]
    modes = [module.training for module in modules]
    gradients = [parameter.requires_grad for parameter in parameters]

    def stop(report) -> None:
        assert not any(p.requires_grad for p in pipe.unet.parameters())
        assert pipe.text_encoder.dtype == torch.float32
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train_on_pipeline(pipe, images, CONFIG, on_step=stop, resolution=64)
    after = values(pipe)
    assert all(after[name].dtype == tensor.dtype for name, tensor in before.items())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [module.training for module in modules] == modes
    assert not any(getattr(pipe, m).get_input_embeddings()._forward_hooks for m in ("text_encoder", "text_encoder_2"))
    assert [parameter.requires_grad for parameter in parameters] == gradients
    assert all(parameter.grad is None for parameter in parameters)


def test_concepts_in_the_pipeline_are_read_but_are_no_words(pipe) -> None:
    with pipeline_session(pipe) as (text_encoder, _):
        means = {key: vocabulary.mean for key, vocabulary in text_encoder.vocabularies.items()}
    dog, cat = vectors(1), {key: 3 * rows.flip(1) for key, rows in vectors(2).items()}
    put_into(pipe, dog, "<dog>")
    put_into(pipe, cat, "<cat>")
    with pipeline_session(pipe) as (text_encoder, _), torch.no_grad():
        assert {key: vocabulary.mean for key, vocabulary in text_encoder.vocabularies.items()} == pytest.approx(means)
        assert {key: len(ids) for key, ids in text_encoder.token_ids("<cat>").items()} == {"clip_l": 2, "clip_g": 2}
        first, second = text_encoder.encode(["a {} b <cat> c"], dog), text_encoder.encode(["a <dog> b {} c"], cat)
        shorter = text_encoder.encode(["a {} b <cat>"], dog)
    torch.testing.assert_close(first.context, second.context)
    torch.testing.assert_close(first.pooled, second.pooled)
    assert (first.pooled - shorter.pooled).abs().max() > 1e-2


def test_several_concepts_stand_where_a_caption_names_them(pipe) -> None:
    """Rows by parts, in order or exchanged, are what one embedding of the same rows is."""
    rows = vectors(3)
    turned = {key: own[[1, 2, 0]] for key, own in rows.items()}
    with pipeline_session(pipe) as (text_encoder, _), torch.no_grad():
        parts = text_encoder.encode(["a {0:1}{1:3} b", "a {1:3}{0:1} b"], rows)
        wholes = [text_encoder.encode(["a {} b"], own) for own in (rows, turned)]
    for number, whole in enumerate(wholes):
        torch.testing.assert_close(parts.context[number], whole.context[0])
        torch.testing.assert_close(parts.pooled[number], whole.pooled[0])
    assert (parts.context[0] - parts.context[1]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_zero_terminal_snr_has_finite_losses_with_every_scheduler(pipe, kind) -> None:
    """At the last level DDPM's own signal is 0 and its sigma infinite."""
    pipe.scheduler = scheduler(kind, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    generator = torch.Generator().manual_seed(4)
    latents, noise = torch.randn((2, 2, 4, 8, 8), generator=generator)
    with pipeline_session(pipe) as (text_encoder, denoiser), torch.no_grad():
        sigma = denoiser.sigmas(torch.tensor([0.0, 0.9999]))
        assert sigma.tolist() == pytest.approx([0.0292, 4518.0], rel=1e-2)
        losses = denoiser.loss(
            latents, text_encoder.encode(["a {}", "{}"], vectors()), sigma, noise, torch.full((2, 6), 64)
        )
    assert losses.isfinite().all()


@pytest.mark.parametrize(
    "kind, prediction_type", [("EulerDiscreteScheduler", "sample"), ("UniPCMultistepScheduler", "flow_prediction")]
)
def test_other_objectives_are_refused(pipe, kind, prediction_type) -> None:
    pipe.scheduler = scheduler(kind, prediction_type=prediction_type)
    with pytest.raises(ValueError, match=f"{kind}.*'{prediction_type}'.*epsilon and v_pred"), pipeline_session(pipe):
        pass


def test_bad_settings_are_refused_before_images_are_encoded(pipe, images, monkeypatch) -> None:
    monkeypatch.setattr(pipe.vae, "encode", None)
    for config, arguments, message in (
        (TrainingConfig("dog"), {}, "not in the text encoder's vocabulary.*d \\+ o \\+ g"),
        (TrainingConfig("d e", n_vectors=1), {}, "is 2 tokens long"),
        (CONFIG, {"captions": [["a b c"]]}, "exactly one"),
        (CONFIG, {"captions": [["a " * 80 + "{}"]]}, "83 tokens long.*read 77"),
        (TrainingConfig("d", n_vectors=32), {"captions": [["a " * 50 + "{}"]]}, "84 tokens long"),
        (CONFIG, {"captions": [["a {}"]] * 3}, "3 lists of captions for 2 images"),
        (CONFIG, {"resolution": 100}, "multiple of 8"),
    ):
        with pytest.raises(ValueError, match=message):
            train_on_pipeline(pipe, images, config, **{"resolution": 64, **arguments})


def test_an_incomplete_or_offloaded_pipeline_is_refused(pipe) -> None:
    pipe.text_encoder.get_input_embeddings()._hf_hook = object()  # as accelerate marks a module that it moves
    with pytest.raises(ValueError, match=r"offloads.*remove_all_hooks"), pipeline_session(pipe):
        pass
    pipe.text_encoder = None
    with pytest.raises(ValueError, match="no text_encoder"), pipeline_session(pipe):
        pass


def test_images_are_the_posterior_of_the_vae(pipe, images) -> None:
    pipe.vae.to(torch.bfloat16)
    encoded = encode_images(pipe, images, 64, [("a {}",), ("b {}",)])
    assert [tuple(image.mean.shape) for image in encoded] == [(4, 8, 11), (4, 13, 8)]
    assert [image.original_size for image in encoded] == [(96, 128), (150, 90)]
    assert all(image.mean.dtype == torch.float32 and (image.std > 0).all() for image in encoded)
    assert pipe.vae.dtype == torch.bfloat16


def test_masks_are_weights_of_the_loss_and_mirrored_with_their_images(pipe, images) -> None:
    masks = [torch.zeros(image.shape[:2]) for image in images]
    for mask in masks:
        mask[:, :48] = 1
    encoded = encode_images(pipe, images, 64, [("a {}",)] * 2, masks, 0.25)
    assert [tuple(image.weights.shape) for image in encoded] == [(8, 11), (13, 8)]
    assert encoded[0].weights[0, 0] == 1 and encoded[0].weights[0, -1] == pytest.approx(0.25)
    mirrored = encode_images(pipe, images, 64, [("a {}",), ("b {}",)], masks, 0.25, mirror=True)
    assert [image.captions for image in mirrored] == [("a {}",), ("b {}",)] * 2
    assert torch.equal(mirrored[0].mean, encoded[0].mean) and not torch.equal(mirrored[2].mean, encoded[0].mean)
    assert torch.equal(mirrored[2].weights, encoded[0].weights.flip(1))
    plain, masked = (train_on_pipeline(pipe, images, CONFIG, resolution=64, masks=given) for given in ((), masks))
    assert "dti.background_weight" not in plain.metadata and "dti.mirror" not in plain.metadata
    assert masked.metadata["dti.background_weight"] == "0.1"
    assert (plain.vectors["clip_l"] - masked.vectors["clip_l"]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="got 1 masks for 2 images"):
        train_on_pipeline(pipe, images, CONFIG, resolution=64, masks=masks[:1])


def test_images_in_their_own_shapes_and_by_their_repeats(pipe, images, caplog) -> None:
    asked = {"resolution": 192, "crop": "keep aspect", "random_crop": 0.1}
    with caplog.at_level("WARNING"):
        encoded = encode_images(pipe, images, 192, [("a {}",)] * 2, crop="keep aspect", random_crop=0.1)
    assert [image.window for image in encoded] == [(24, 24), (32, 16)]
    assert [tuple(image.mean.shape[1:]) for image in encoded] == [(27, 36), (36, 21)]
    assert "Image 1 is 128 x 96 pixels and is enlarged 2.22 times." in caplog.text
    alike, repeated = (train_on_pipeline(pipe, images, CONFIG, **asked, repeats=given) for given in ((), (3, 12)))
    assert (repeated.metadata["dti.crop"], repeated.metadata["dti.random_crop"]) == ("keep aspect", "0.1")
    assert repeated.metadata["dti.repeats"] == "1 4" and "dti.repeats" not in alike.metadata
    assert (alike.vectors["clip_l"] - repeated.vectors["clip_l"]).abs().max() > 1e-3


def test_the_example_trains(pipe, tmp_path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pipe.save_pretrained(tmp_path / "pipeline")
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    for number in range(2):
        pixels = generator.integers(0, 256, (80, 64, 4), dtype=np.uint8)
        image_module.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        (tmp_path / "images" / f"{number}.txt").write_text("a {} b\nc {}")
    options = ["--resolution", "64", "--steps", "2", "--output", str(tmp_path / "dog.safetensors")]
    script = str(ROOT / "examples" / "train_with_diffusers.py")
    command = [sys.executable, script, str(tmp_path / "pipeline"), str(tmp_path / "images"), "d", *options]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert load_embedding(tmp_path / "dog.safetensors").metadata["dti.steps"] == "2"
