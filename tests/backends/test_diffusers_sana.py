"""dti_core's text encoder and denoiser on a small SANA pipeline, whose own prompts and schedulers are the oracle."""

from __future__ import annotations

import inspect
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from dti_core.backends.diffusers_sana import pipeline_session
from dti_core.backends.pipeline_images import encode_images
from dti_core.backends.pipeline_training import train_on_pipeline
from dti_core.files.embedding_file import save_embedding
from dti_core.training import TrainingConfig
from dti_core.training.data import draw_batch
from tests.backends.sana_runs import CAPTIONS, INSTRUCTION, KEY, session, vectors
from tests.backends.small_sana import WIDTH, diffusers, scheduler
from tests.rounding import EPS32

# Three blocks of Gemma and their sums, whose terms differ where there is padding.
CLOSE = 50 * EPS32


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
def test_a_prompt_reads_what_was_trained(sana, images, tmp_path, instruction) -> None:
    """From images to a prompt in the pipeline itself."""
    config = TrainingConfig("dog", steps=3, batch_size=2, n_vectors=2)
    opened = partial(pipeline_session, instruction=instruction)
    embedding = train_on_pipeline(sana, images, config, "dog", CAPTIONS, resolution=64, session=opened)
    with opened(sana) as (text_encoder, _), torch.no_grad():
        expected = text_encoder.encode(["A photo of a {}, b", "{} "], embedding.vectors)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    concept = put_into(sana, load_file(tmp_path / "dog.safetensors")["emb_params"])
    context, mask = said(sana, [f"A photo of a {concept}, b", f"{concept} "], instruction)
    assert context.shape[1] == 300
    assert_same(expected, context, mask)


def test_the_instruction_is_the_one_that_the_pipeline_samples_with(sana) -> None:
    own = inspect.signature(sana.__call__).parameters["complex_human_instruction"].default
    with pipeline_session(sana) as (text_encoder, _), torch.no_grad():
        expected = text_encoder.encode(["a {}"], vectors())
        assert text_encoder.notes["dti.instruction"] == "as the pipeline's"
    assert_same(expected, *said(sana, [f"a {put_into(sana, vectors()[KEY])}"], own))


def test_zeros_in_front_are_tokens_of_zeros(sana) -> None:
    with session(sana) as (text_encoder, _), torch.no_grad():
        moved = text_encoder.encode(["{zeros:3}a {}", "{zeros:1}b {}", "c {}"], vectors())
    concept, zero = put_into(sana, vectors()[KEY]), put_into(sana, torch.zeros(1, WIDTH), "zero")
    assert_same(moved, *said(sana, [f"{zero * 3}a {concept}", f"{zero}b {concept}", f"c {concept}"]))


def test_several_concepts_stand_where_a_caption_names_them(sana) -> None:
    rows = vectors(3)[KEY]
    with session(sana) as (text_encoder, _), torch.no_grad():
        parts = text_encoder.encode(["a {1:3}{0:1} b"], {KEY: rows})
        whole = text_encoder.encode(["a {} b"], {KEY: rows[[1, 2, 0]]})
    torch.testing.assert_close(parts.context, whole.context)


def test_concepts_in_the_pipeline_are_read_but_are_no_words(sana) -> None:
    with session(sana) as (text_encoder, _):
        mean = text_encoder.vocabularies[KEY].mean
    dog, cat = vectors(1)[KEY], 3 * vectors(2)[KEY].flip(1)
    first, second = put_into(sana, dog, "dog"), put_into(sana, cat, "cat")
    with session(sana) as (text_encoder, _), torch.no_grad():
        assert text_encoder.vocabularies[KEY].mean == pytest.approx(mean)
        one = text_encoder.encode([f"a {{}} b {second} c"], {KEY: dog})
        other = text_encoder.encode([f"a {first} b {{}} c"], {KEY: cat})
    torch.testing.assert_close(one.context, other.context)


def test_a_word_is_the_one_behind_another_word(sana) -> None:
    with session(sana) as (text_encoder, _):
        ids = text_encoder.token_ids("Dog")[KEY]
    assert sana.tokenizer("a dog").input_ids[2:] == ids


def test_the_loss_is_that_of_the_pipelines_own_parts(sana) -> None:
    """Its prompt of 300 tokens, its transformer, and the flow scheduler's own noise levels and noising."""
    generator = torch.Generator().manual_seed(4)
    latents, noise = torch.randn((2, 2, 4, 3, 5), generator=generator)
    u = torch.tensor([0.25, 0.9])
    with session(sana) as (text_encoder, denoiser), torch.no_grad():
        sigma = denoiser.sigmas(u)
        conditioning = text_encoder.encode(["a {} in the rain", "{}"], vectors())
        losses = denoiser.loss(latents, conditioning, sigma, noise, torch.zeros((2, 6)))
        turned = denoiser.loss(
            latents[[1]], conditioning.select(torch.tensor([1])), sigma[[1]], noise[[1]], torch.zeros((1, 6))
        )
    concept = put_into(sana, vectors()[KEY])
    context, mask = said(sana, [f"a {concept} in the rain", concept])
    flow = scheduler("FlowMatchEulerDiscreteScheduler", shift=3.0)
    times = flow.timesteps.flip(0)[(u * 1000).long()]
    x0 = latents * sana.vae.config.scaling_factor
    with torch.no_grad():
        output = sana.transformer(
            flow.scale_noise(x0, times, noise), context, times, encoder_attention_mask=mask
        ).sample
    expected = (output - (noise - x0)).square().mean(dim=(1, 2, 3))
    # Two blocks of the transformer behind Gemma's three.
    torch.testing.assert_close(losses, expected, rtol=100 * EPS32, atol=0)
    torch.testing.assert_close(turned, losses[[1]], rtol=100 * EPS32, atol=0)


def test_noise_levels_are_the_schedulers_own_whatever_it_has_sampled(sana) -> None:
    sana.scheduler.set_timesteps(4)
    flow = scheduler("FlowMatchEulerDiscreteScheduler", shift=3.0)
    expected = flow.sigmas.flip(0)
    for one in (sana.scheduler, flow):
        sana.scheduler = one
        flow.set_timesteps(3)
        with session(sana) as (_, denoiser):
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
def test_other_objectives_are_refused(sana, kind, settings, message) -> None:
    sana.scheduler = getattr(diffusers, kind)(**settings)
    with pytest.raises(ValueError, match=message), session(sana):
        pass


def test_the_gradient_is_that_of_finite_differences(sana, images) -> None:
    """Through transformer and Gemma, along three directions."""
    batch = draw_batch(encode_images(sana, images, 64, CAPTIONS), 4, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(6)
    with session(sana) as (text_encoder, denoiser):

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
