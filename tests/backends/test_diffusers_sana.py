"""dti_core on a small random SANA pipeline of diffusers, whose own prompts, schedulers and models are the oracle."""

from __future__ import annotations

import inspect
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
from dti_core.training.data import draw_batch
from dti_core.training.evaluation_set import EvaluationSet
from tests.backends.small_sana import WIDTH, diffusers, scheduler, small_sana
from tests.rounding import EPS32

ROOT = Path(__file__).parents[2]
KEY = "gemma2_2b"
CONFIG = TrainingConfig("dog", steps=3, batch_size=2)
MODELS = ("transformer", "text_encoder", "vae")
# In letters the pipeline's own is 1300 tokens long.
INSTRUCTION = ["Say more", "of: "]
CAPTIONS = (("a photo of a {} in the rain", "A {}, b"), ("{}", "the {} c"))

# Three blocks of Gemma and their sums, whose terms differ where there is padding.
CLOSE = 50 * EPS32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizer")


@pytest.fixture
def pipe(folder: Path):
    return small_sana(folder)


@pytest.fixture
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape, generator=generator) for shape in ((96, 128, 3), (150, 90, 3))]


def session(pipe):
    return pipeline_session(pipe, INSTRUCTION)


def trained(pipe, images, config=CONFIG, **settings):
    return train_on_pipeline(pipe, images, config, "dog", CAPTIONS, resolution=64, session=session, **settings)


def vectors(n: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {KEY: 0.5 * torch.nn.functional.normalize(torch.randn((n, WIDTH), generator=generator))}


def values(pipe) -> dict[str, torch.Tensor]:
    return {f"{m}.{name}": t.clone() for m in MODELS for name, t in getattr(pipe, m).state_dict().items()}


def put_into(pipe, rows: torch.Tensor, name: str = "my") -> str:
    """The lines that README gives; returns what goes into a prompt."""
    tokens = [f"<{name}_{i}>" for i in range(len(rows))]
    pipe.tokenizer.add_tokens(tokens)
    pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer), mean_resizing=False)
    table = pipe.text_encoder.get_input_embeddings().weight
    table.data[pipe.tokenizer.convert_tokens_to_ids(tokens)] = rows.to(table)
    return "".join(tokens)


def said(pipe, prompts: list[str], instruction=INSTRUCTION) -> tuple[torch.Tensor, torch.Tensor]:
    """The pipeline's own conditioning, and which of its tokens are read."""
    with torch.no_grad():
        context, mask, _, _ = pipe.encode_prompt(
            prompts, do_classifier_free_guidance=False, device="cpu", complex_human_instruction=instruction
        )
    return context, mask


def assert_same(conditioning, context: torch.Tensor, mask: torch.Tensor) -> None:
    assert list(conditioning.lengths) == mask.sum(dim=1).tolist()
    for row, length in enumerate(conditioning.lengths):
        expected = context[row, :length]
        bound = CLOSE * expected.abs().max().item()
        torch.testing.assert_close(conditioning.context[row, :length], expected, atol=bound, rtol=0)


@pytest.mark.parametrize("instruction", [INSTRUCTION, []], ids=["instruction", "bare"])
def test_a_prompt_reads_what_was_trained(pipe, images, tmp_path, instruction) -> None:
    """From images to a prompt in the pipeline itself."""
    config = TrainingConfig("dog", steps=3, batch_size=2, n_vectors=2)
    opened = partial(pipeline_session, instruction=instruction)
    embedding = train_on_pipeline(pipe, images, config, "dog", CAPTIONS, resolution=64, session=opened)
    with opened(pipe) as (text_encoder, _), torch.no_grad():
        expected = text_encoder.encode(["A photo of a {}, b", "{} "], embedding.vectors)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    concept = put_into(pipe, load_file(tmp_path / "dog.safetensors")["emb_params"])
    context, mask = said(pipe, [f"A photo of a {concept}, b", f"{concept} "], instruction)
    assert context.shape[1] == 300
    assert_same(expected, context, mask)


def test_the_instruction_is_the_one_that_the_pipeline_samples_with(pipe) -> None:
    own = inspect.signature(pipe.__call__).parameters["complex_human_instruction"].default
    with pipeline_session(pipe) as (text_encoder, _), torch.no_grad():
        expected = text_encoder.encode(["a {}"], vectors())
        assert text_encoder.notes["dti.instruction"] == "as the pipeline's"
    assert_same(expected, *said(pipe, [f"a {put_into(pipe, vectors()[KEY])}"], own))


def test_zeros_in_front_are_tokens_of_zeros(pipe) -> None:
    with session(pipe) as (text_encoder, _), torch.no_grad():
        moved = text_encoder.encode(["{zeros:3}a {}", "{zeros:1}b {}", "c {}"], vectors())
    concept, zero = put_into(pipe, vectors()[KEY]), put_into(pipe, torch.zeros(1, WIDTH), "zero")
    assert_same(moved, *said(pipe, [f"{zero * 3}a {concept}", f"{zero}b {concept}", f"c {concept}"]))


def test_several_concepts_stand_where_a_caption_names_them(pipe) -> None:
    rows = vectors(3)[KEY]
    with session(pipe) as (text_encoder, _), torch.no_grad():
        parts = text_encoder.encode(["a {1:3}{0:1} b"], {KEY: rows})
        whole = text_encoder.encode(["a {} b"], {KEY: rows[[1, 2, 0]]})
    torch.testing.assert_close(parts.context, whole.context)


def test_concepts_in_the_pipeline_are_read_but_are_no_words(pipe) -> None:
    with session(pipe) as (text_encoder, _):
        mean = text_encoder.vocabularies[KEY].mean
    dog, cat = vectors(1)[KEY], 3 * vectors(2)[KEY].flip(1)
    first, second = put_into(pipe, dog, "dog"), put_into(pipe, cat, "cat")
    with session(pipe) as (text_encoder, _), torch.no_grad():
        assert text_encoder.vocabularies[KEY].mean == pytest.approx(mean)
        one = text_encoder.encode([f"a {{}} b {second} c"], {KEY: dog})
        other = text_encoder.encode([f"a {first} b {{}} c"], {KEY: cat})
    torch.testing.assert_close(one.context, other.context)


def test_a_word_is_the_one_behind_another_word(pipe) -> None:
    with session(pipe) as (text_encoder, _):
        ids = text_encoder.token_ids("Dog")[KEY]
    assert pipe.tokenizer("a dog").input_ids[2:] == ids


def test_the_loss_is_that_of_the_pipelines_own_parts(pipe) -> None:
    """Its prompt of 300 tokens, its transformer, and the flow scheduler's own noise levels and noising."""
    generator = torch.Generator().manual_seed(4)
    latents, noise = torch.randn((2, 2, 4, 3, 5), generator=generator)
    u = torch.tensor([0.25, 0.9])
    with session(pipe) as (text_encoder, denoiser), torch.no_grad():
        sigma = denoiser.sigmas(u)
        conditioning = text_encoder.encode(["a {} in the rain", "{}"], vectors())
        losses = denoiser.loss(latents, conditioning, sigma, noise, torch.zeros((2, 6)))
        turned = denoiser.loss(
            latents[[1]], conditioning.select(torch.tensor([1])), sigma[[1]], noise[[1]], torch.zeros((1, 6))
        )
    concept = put_into(pipe, vectors()[KEY])
    context, mask = said(pipe, [f"a {concept} in the rain", concept])
    flow = scheduler("FlowMatchEulerDiscreteScheduler", shift=3.0)
    times = flow.timesteps.flip(0)[(u * 1000).long()]
    x0 = latents * pipe.vae.config.scaling_factor
    with torch.no_grad():
        output = pipe.transformer(
            flow.scale_noise(x0, times, noise), context, times, encoder_attention_mask=mask
        ).sample
    expected = (output - (noise - x0)).square().mean(dim=(1, 2, 3))
    # Two blocks of the transformer behind Gemma's three.
    torch.testing.assert_close(losses, expected, rtol=100 * EPS32, atol=0)
    torch.testing.assert_close(turned, losses[[1]], rtol=100 * EPS32, atol=0)


def test_noise_levels_are_the_schedulers_own_whatever_it_has_sampled(pipe) -> None:
    pipe.scheduler.set_timesteps(4)
    flow = scheduler("FlowMatchEulerDiscreteScheduler", shift=3.0)
    expected = flow.sigmas.flip(0)
    for one in (pipe.scheduler, flow):
        pipe.scheduler = one
        flow.set_timesteps(3)
        with session(pipe) as (_, denoiser):
            found = denoiser.sigmas((torch.arange(1000) + 0.5) / 1000)
        torch.testing.assert_close(found, expected, rtol=4 * EPS32, atol=0)


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        ("DPMSolverMultistepScheduler", {"prediction_type": "epsilon"}, "DPMSolver.*'epsilon'"),
        ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, "use_dynamic_shifting True"),
        ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}, "the shift None"),
        ("SCMScheduler", {}, "SCMScheduler.*'trigflow'"),
    ],
)
def test_other_objectives_are_refused(pipe, kind, settings, message) -> None:
    pipe.scheduler = getattr(diffusers, kind)(**settings)
    with pytest.raises(ValueError, match=message), session(pipe):
        pass


def test_the_gradient_is_that_of_finite_differences(pipe, images) -> None:
    """Through transformer and Gemma, along three directions."""
    batch = draw_batch(encode_images(pipe, images, 64, CAPTIONS), 4, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(6)
    with session(pipe) as (text_encoder, denoiser):

        def loss(v: torch.Tensor) -> torch.Tensor:
            conditioning, sigma = text_encoder.encode(batch.captions, {KEY: v}), denoiser.sigmas(batch.u)
            losses = [
                denoiser.loss(one.latents, conditioning.select(one.rows), sigma[one.rows], one.noise, one.framing)
                for one in batch.passes(4, denoiser.device)
            ]
            return torch.cat(losses).mean()

        v = vectors()[KEY].requires_grad_()
        (gradient,) = torch.autograd.grad(loss(v), v)
        for _ in range(3):
            along = torch.randn(v.shape, generator=generator)
            along /= along.norm()
            with torch.no_grad():
                one, two = (float(loss(v + h * along) - loss(v - h * along)) / (2 * h) for h in (0.02, 0.04))
            # Central differences are off by a share of the square of the step, which the two together take out. A loss
            # of order 1 is known to some ten eps, 1e-6, which the step makes 3e-5 of a slope; measured is 1e-6.
            assert (4 * one - two) / 3 == pytest.approx((gradient * along).sum().item(), rel=1e-3, abs=5e-5)
        assert gradient.norm() > 1e-2


def test_training_lowers_the_loss_and_keeps_the_norm(pipe, images) -> None:
    config = TrainingConfig("dog", steps=40, batch_size=4, kappa=5e-5)
    before = values(pipe)
    reports = []
    embedding = trained(pipe, images, config, on_step=reports.append)
    after = values(pipe)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with session(pipe) as (text_encoder, denoiser):
        vocabulary = text_encoder.vocabularies[KEY]
        fixed = EvaluationSet(text_encoder, denoiser, encode_images(pipe, images, 64, CAPTIONS))
        start = vocabulary.mean * torch.nn.functional.normalize(vocabulary.rows(text_encoder.token_ids("dog")[KEY]))
        losses = [fixed.loss({KEY: start}), fixed.loss(embedding.vectors)]
    for report in reports:
        norms = report.vectors[KEY].norm(dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, vocabulary.mean), rtol=8 * EPS32, atol=0)
    assert losses[1] < losses[0]


def test_the_file_says_what_it_is(pipe, images, tmp_path) -> None:
    config = TrainingConfig("dog", steps=3, batch_size=2, kappa=5e-5, options=Options(zero_pad=2.0))
    embedding, plain = trained(pipe, images, config), trained(pipe, images)
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


def test_models_are_left_as_they_were(pipe, images) -> None:
    """In values, types, modes and hooks, also after a run that fails; and the tokenizer."""
    for model in (pipe.transformer, pipe.text_encoder, pipe.vae):
        model.to(torch.bfloat16)
    pipe.transformer.train()
    pipe.text_encoder.get_input_embeddings().requires_grad_(False)
    pipe.tokenizer.padding_side = "left"
    before, n_tokens = values(pipe), len(pipe.tokenizer)
    modules = [module for m in MODELS for module in getattr(pipe, m).modules()]
    parameters = [parameter for m in MODELS for parameter in getattr(pipe, m).parameters()]
    modes = [module.training for module in modules]
    gradients = [parameter.requires_grad for parameter in parameters]

    def stop(report) -> None:
        assert not any(p.requires_grad for p in pipe.transformer.parameters())
        assert pipe.text_encoder.dtype == torch.float32
        raise InterruptedError

    with pytest.raises(InterruptedError):
        trained(pipe, images, on_step=stop)
    after = values(pipe)
    assert all(after[name].dtype == tensor.dtype for name, tensor in before.items())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [module.training for module in modules] == modes
    assert [parameter.requires_grad for parameter in parameters] == gradients
    assert all(parameter.grad is None for parameter in parameters)
    assert (len(pipe.tokenizer), pipe.tokenizer.padding_side) == (n_tokens, "left")


def test_images_are_latents_without_deviation(pipe, images) -> None:
    encoded = encode_images(pipe, images, 64, CAPTIONS)
    assert [tuple(image.mean.shape) for image in encoded] == [(4, 2, 3), (4, 3, 2)]
    assert all(image.pixels_per_latent == 32 and not image.std.any() for image in encoded)
    wide = encode_images(pipe, [torch.full((64, 64, 3), 0.25)], 64, CAPTIONS[:1])[0]
    with torch.no_grad():
        expected = pipe.vae.encode(torch.full((1, 3, 64, 64), -0.5)).latent[0]
    torch.testing.assert_close(wide.mean, expected)


def test_bad_settings_are_refused_before_images_are_encoded(pipe, images, monkeypatch) -> None:
    monkeypatch.setattr(pipe.vae, "encode", None)
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
                pipe,
                images,
                config,
                **{"resolution": 64, "session": partial(pipeline_session, instruction=())} | arguments,
            )


def test_pipelines_of_other_kinds_are_refused(pipe, images) -> None:
    class OtherPipeline:
        transformer = pipe.transformer

    with pytest.raises(ValueError, match="pipeline is OtherPipeline"):
        train_on_pipeline(OtherPipeline(), images, CONFIG)
    pipe.text_encoder.get_input_embeddings()._hf_hook = object()  # as accelerate marks a module that it moves
    with pytest.raises(ValueError, match=r"offloads.*remove_all_hooks"), session(pipe):
        pass
    pipe.vae = None
    with pytest.raises(ValueError, match="no vae"), session(pipe):
        pass


def test_the_example_trains(pipe, tmp_path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pipe.save_pretrained(tmp_path / "pipeline")
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
