"""Several concepts in one run: each gets its own gradient and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from dti_core import sphere
from dti_core.methods import METHODS, Options, Together
from dti_core.training import TrainingConfig, load_state, save_state, start_method, start_together, train
from dti_core.training.backend import Conditioning
from dti_core.training.captions import slots, with_rows
from dti_core.training.data import TrainingImage, draw_batch
from dti_core.training.loop import _add_gradients
from tests.core.training.test_loop import WIDTHS, ToyTextEncoder
from tests.core.training.toy_runs import NoisyDenoiser
from tests.rounding import EPS32

WORDS = {"rex": "dog", "mug": "stuffed animal"}


class NamingTextEncoder(ToyTextEncoder):
    """Context is made of the rows that each caption names, in order, so that exchanged ones are told apart."""

    def encode(self, captions, vectors) -> Conditioning:
        n_vectors = len(next(iter(vectors.values())))
        rows = [[row for named in slots(text, n_vectors).values() for row in named] for text in captions]
        context = torch.stack(
            [torch.cat([(vectors[key][own] * _weights(len(own))).mean(dim=0) for key in WIDTHS]) for own in rows]
        )
        return Conditioning(context[:, None], context[:, :4])


def _weights(count: int) -> torch.Tensor:
    return torch.arange(1.0, count + 1)[:, None]


def config_of(method: str = "DTI", **settings) -> TrainingConfig:
    settings = {"steps": 12, "batch_size": 3, "kappa": 0.02, **settings}
    return TrainingConfig("dog", method=method, **settings)


def started(config: TrainingConfig, encoder: ToyTextEncoder) -> Together:
    states = {name: {key: torch.full((1, width), i + 1.0) for key, width in WIDTHS.items()}
              for i, name in enumerate(WORDS)}  # fmt: skip
    return start_together(config, WORDS, encoder, states)


def images(captions: dict[str, tuple[str, ...]], together: Together) -> list[TrainingImage]:
    """One image for each concept."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn((len(captions), 4, 4, 4), generator=generator)
    return [
        TrainingImage(mean, torch.ones_like(mean), (32, 32), with_rows(texts, name, together.rows))
        for mean, (name, texts) in zip(means, captions.items(), strict=True)
    ]


def run(config, captions, on_step=lambda report: None, resume=None) -> tuple[Together, dict]:
    encoder = NamingTextEncoder()
    together = started(config, encoder)
    shown = images(captions, together)
    vectors = train(encoder, NoisyDenoiser(encoder), shown, config, on_step, method=together, resume=resume)
    return together, together.split(vectors)


def test_captions_name_concepts_by_their_rows() -> None:
    rows = {"rex": range(0, 1), "my mug": range(1, 3)}
    assert with_rows(["a {} on a table", "a {} and a {my mug}"], "rex", rows) == (
        "a {0:1} on a table",
        "a {0:1} and a {1:3}",
    )
    assert with_rows(["a {my mug}"], "rex", rows) == ("a {1:3}",)
    for caption, message in (
        ("a dog", "names no concept"),
        ("a {} and a {rex}", "each once"),
        ("a {cat}", "names 'cat'; the concepts are rex, my mug"),
    ):
        with pytest.raises(ValueError, match=message):
            with_rows([caption], "rex", rows)


def test_a_caption_cannot_name_vectors_that_there_are_not() -> None:
    assert slots("a {} and {1:3}", 3) == {"{}": range(3), "{1:3}": range(1, 3)}
    for caption in ("a {1:4}", "a {2:2}"):
        with pytest.raises(ValueError, match="there are 3 vectors"):
            slots(caption, 3)


def test_only_some_text_encoders_read_zeros() -> None:
    """Their rows are behind the concept's."""
    assert slots("{zeros:2}a {}", 3, zeros=True) == {"{zeros:2}": range(3, 5), "{}": range(3)}
    with pytest.raises(ValueError, match="zero_pad is for SANA"):
        slots("{zeros:2}a {}", 3)


def test_dropped_captions_keep_their_concepts() -> None:
    image = TrainingImage(torch.zeros(4, 4, 4), torch.zeros(4, 4, 4), (32, 32), ("a {0:1} beside a {1:3}, at night",))
    batch = draw_batch([image], 2, torch.Generator().manual_seed(0), Options(caption_dropout=1.0))
    assert batch.captions == ("{0:1} {1:3}",) * 2


def test_gradients_are_those_of_finite_differences() -> None:
    """The toy's loss is quadratic, so central differences are exact but for rounding."""
    config = config_of()
    encoder = NamingTextEncoder()
    together = started(config, encoder)
    denoiser = NoisyDenoiser(encoder)
    shown = images({"rex": ("a {} and a {mug}",), "mug": ("the {}",)}, together)
    batch = draw_batch(shown, 4, torch.Generator().manual_seed(1))

    def loss(vectors) -> float:
        return _add_gradients(encoder, denoiser, batch, {k: v.clone().requires_grad_() for k, v in vectors.items()},
                              4, 1.0)[0]  # fmt: skip

    vectors = together.vectors()
    _, gradients = _add_gradients(encoder, denoiser, batch, vectors, 2, 1.0)
    step = 0.1
    for (key, rows), gradient in zip(vectors.items(), gradients, strict=True):
        assert len(rows) == 3 and bool((gradient != 0).all())
        for row in range(3):
            at = {name: value.detach().clone() for name, value in vectors.items()}
            at[key][row, 1] += step
            above = loss(at)
            at[key][row, 1] -= 2 * step
            # Two losses of about 1, each of a few hundred roundings.
            assert float(gradient[row, 1]) == pytest.approx((above - loss(at)) / (2 * step), abs=500 * EPS32 / step)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_one_is_what_it_is_alone(method: str) -> None:
    config = config_of(method)
    encoder = NamingTextEncoder()
    states = {key: torch.ones(1, width) for key, width in WIDTHS.items()}
    shown = [TrainingImage(torch.zeros(4, 4, 4), torch.ones(4, 4, 4), (32, 32), ("a {}",))]
    alone = train(encoder, NoisyDenoiser(encoder), shown, config, method=start_method(config, encoder, states))
    together = start_together(config, {"rex": "dog"}, encoder, {"rex": states})
    named = [dataclasses.replace(shown[0], captions=("a {0:1}",))]
    beside = train(encoder, NoisyDenoiser(encoder), named, config, method=together)
    assert all(torch.equal(alone[key], beside[key]) for key in alone)


@pytest.mark.parametrize("method", METHODS)
def test_what_no_caption_names_does_not_move(method: str) -> None:
    config = config_of(method)
    start = started(config, NamingTextEncoder())
    before = start.split(start.result())
    together, after = run(config, {"rex": ("a {}", "the {}")})
    assert all(torch.equal(after["mug"][key], before["mug"][key]) for key in WIDTHS)
    assert all(not torch.equal(after["rex"][key], before["rex"][key]) for key in WIDTHS)
    kept = together.state_dict()["concepts"]["mug"]
    before = start.state_dict()["concepts"]["mug"]
    assert kept.pop("steps", 12) == 12 and before.pop("steps", 0) == 0  # of the run, for an average of its last ones
    assert repr(kept) == repr(before)


@pytest.mark.parametrize("method", METHODS)
def test_batches_without_a_concept_leave_no_trace_in_it(method: str) -> None:
    """Gradients with pauses come to what they come to without: no momentum, decay or clock goes on in between."""
    generator = torch.Generator().manual_seed(2)
    encoder = NamingTextEncoder()
    paused, alone = started(config_of(method), encoder), started(config_of(method), encoder)
    for step in range(9):
        for together in (paused, alone) if step % 3 == 0 else (paused,):
            together.zero_grad()
            vectors = together.vectors()
            if step % 3 == 0 and together is paused:
                gradients = [torch.randn(rows.shape, generator=generator) for rows in vectors.values()]
            elif together is paused:
                gradients = [torch.zeros_like(rows) for rows in vectors.values()]
                for gradient in gradients:
                    gradient[together.rows["rex"].start] = 1.0
            # CrossInit adds its pull to what it is given.
            torch.autograd.backward(list(vectors.values()), [gradient.clone() for gradient in gradients])
            movement = together.step(1.0)
            assert movement.moved and len(movement.gradient_norm) == 4
    first, second = (one.split(one.result())["mug"] for one in (paused, alone))
    assert all(torch.equal(first[key], second[key]) for key in WIDTHS)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    together = started(config_of(), NamingTextEncoder())
    before = together.result()
    vectors = together.vectors()
    torch.autograd.backward(list(vectors.values()), [torch.full_like(rows, torch.nan) for rows in vectors.values()])
    assert not together.step(1.0).moved
    assert all(torch.equal(rows, before[key]) for key, rows in together.result().items())


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_gives_the_uninterrupted_one(method: str, tmp_path: Path) -> None:
    captions = {"rex": ("a {}", "a {} and a {mug}"), "mug": ("the {}",)}
    config = config_of(method, batch_size=1)
    _, whole = run(config, captions)
    states = []
    run(config, captions, lambda report: states.append(report.state))
    save_state(states[4], tmp_path / "step-5.safetensors")
    _, resumed = run(config, captions, resume=load_state(tmp_path / "step-5.safetensors"))
    assert all(torch.equal(resumed[name][key], whole[name][key]) for name in WORDS for key in WIDTHS)
    other = start_together(config, {"cup": "dog"}, NamingTextEncoder(), {"cup": {k: torch.ones(1, w) for k, w in
                                                                                WIDTHS.items()}})  # fmt: skip
    with pytest.raises(ValueError, match="is of the concepts rex, mug, and this run has cup"):
        states[4].put_into(other)


def test_an_average_is_of_the_last_steps_of_the_run() -> None:
    """Whether a concept was in all of them or not: mug is in two of the last four of six."""
    gradients = torch.randn((6, 3, max(WIDTHS.values())), generator=torch.Generator().manual_seed(3))
    together = started(config_of(steps=6, options=Options(average=4)), NamingTextEncoder())
    alone = started(config_of(steps=6), NamingTextEncoder())
    sums = {key: torch.zeros(width) for key, width in WIDTHS.items()}
    mug = together.rows["mug"].start
    for step in range(6):
        for one in (together, alone):
            one.zero_grad()
            vectors = one.vectors()
            own = {key: gradients[step, :, : rows.shape[1]].clone() for key, rows in vectors.items()}
            if step in (1, 3, 5):
                for gradient in own.values():
                    gradient[mug:] = 0.0
            torch.autograd.backward(list(vectors.values()), list(own.values()))
            one.step(1.0)
        if step in (2, 4):
            for key, rows in alone.result().items():
                sums[key] += sphere.projx(rows[mug])
    for key, rows in together.result().items():
        # Unit vectors; a few roundings each.
        torch.testing.assert_close(sphere.projx(rows[mug]), sphere.projx(sums[key]), rtol=0, atol=8 * EPS32)


# AdamW's eps, which is not halved, is a thousandth of these gradients; without the share it is 0.007. DTI's halves are
# exact but for the roundings of a few steps, and without it 0.0001.
@pytest.mark.parametrize(("method", "tolerance"), [("DTI", 20 * EPS32), ("CrossInit", 1e-3)])
def test_what_pulls_against_a_share_of_the_gradient_pulls_with_that_share(method: str, tolerance: float) -> None:
    """A concept in half of a batch moves as it does alone, where its images have the gradient twice as large."""
    config = config_of(method)
    encoder = NamingTextEncoder()
    states = {name: {key: torch.ones(1, width) for key, width in WIDTHS.items()} for name in WORDS}
    halved = start_together(config, WORDS, encoder, states, dict.fromkeys(WORDS, 0.5))
    alone = start_method(config, encoder, states["rex"])
    generator = torch.Generator().manual_seed(4)
    for _ in range(4):
        halved.zero_grad()
        alone.zero_grad()
        both, own = halved.vectors(), alone.vectors()
        for key, rows in both.items():
            gradient = (1e-5 + 1e-5 * torch.rand(rows.shape, generator=generator)) * torch.randn(
                rows.shape, generator=generator
            ).sign()
            torch.autograd.backward([rows, own[key]], [gradient, 2 * gradient[:1]], retain_graph=True)
        halved.step(1.0)
        alone.step(1.0)
    moved = halved.split(halved.result())["rex"]
    assert all(torch.allclose(rows, moved[key], rtol=0, atol=tolerance) for key, rows in alone.result().items())
