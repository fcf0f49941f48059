"""Held-out images choose a step and end a run, and change nothing of how it trains."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import pytest
import torch

from dti_core.methods import METHODS, Options
from dti_core.training import train
from dti_core.training.data import MOST_U, TrainingImage
from dti_core.training.evaluation_set import EvaluationSet
from dti_core.training.state import load_state, save_state
from dti_core.training.validation import (
    DRAWS,
    Validation,
    ValidationTogether,
    check_validation,
    n_held_out,
    split,
)
from tests.core.training.test_loop import ToyTextEncoder
from tests.core.training.toy_runs import STEPS, NoisyDenoiser, config_of, images, started

EVERY = 3


def run(config, on_step=lambda report: None, resume=None, validated=True, every=EVERY, patience=0):
    """Trains on `images()`, and measures on the others; the vectors, and what was measured."""
    text_encoder = ToyTextEncoder()
    measured = EvaluationSet(text_encoder, NoisyDenoiser(text_encoder), images(7), 5)
    validation = Validation(measured.loss, every, patience) if validated else None
    vectors = train(
        text_encoder, NoisyDenoiser(text_encoder), images(), config, on_step, method=started(config, text_encoder),
        resume=resume, validation=validation,
    )  # fmt: skip
    return vectors, validation


def assert_same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for key, rows in expected.items():
        assert torch.equal(found[key], rows)


def scripted(*losses: float, every: int = 1, patience: int = 0) -> Validation:
    """Measures these, after the start's."""
    told = iter((9.0, *losses))
    validation = Validation(lambda vectors, rows: next(told), every, patience)
    validation.begin(0, {}, 1)
    for step in range(1, every * len(losses) + 1):
        validation.after(step, {"step": step}, 1)
    return validation


def test_several_concepts_choose_a_step_each_and_end_when_all_are_over():
    losses = {"rex": iter((9.0, 1.0, 2.0, 3.0, 4.0)), "mug": iter((9.0, 4.0, 1.0, 2.0, 3.0))}
    each = {name: Validation(lambda v, r, told=told: next(told), 1, 2) for name, told in losses.items()}
    both, over = ValidationTogether(each), []
    both.begin(0, {}, 1)
    for step in (1, 2, 3, 4):
        both.after(step, {"step": step}, 1)
        over.append(both.is_over)
        if step == 2:
            state = both.state()
    both.finish(4, {}, 1)
    assert over == [False, False, False, True]
    assert {name: one.best.step for name, one in each.items()} == {"rex": 1, "mug": 2}
    again = {name: Validation(lambda v, r: 0.0, 1, 2) for name in ("mug", "rex", "cup")}
    ValidationTogether(again).go_on_from(state)
    assert (again["rex"].steps, again["rex"].best.step, again["mug"].losses) == ([0, 1, 2], 1, [9.0, 4.0, 1.0])
    assert again["cup"].steps == []
    ValidationTogether(again).go_on_from(None)
    assert again["rex"].steps == [] and again["rex"].best is None


@pytest.mark.parametrize("method", METHODS)
def test_it_trains_as_without(method):
    reports, plain = [], []
    vectors, validation = run(config_of(method), reports.append)
    assert_same(vectors, run(config_of(method), plain.append, validated=False)[0])
    assert [r.loss for r in reports] == [r.loss for r in plain]
    assert validation.steps == [0, 3, 6, 9, 12]
    at_best = reports[validation.best.step - 1].vectors
    assert_same(validation.best.vectors, at_best)
    assert validation.best.loss == min(validation.losses[1:])


@pytest.mark.parametrize("method", METHODS)
def test_resumed_from_a_file_after_any_step(method, tmp_path):
    """Also with what it has measured, and where patience ends it."""
    config = config_of(method, steps=STEPS + 1)  # the last step is between two measurements
    for patience in (0, 4):
        reports = []
        vectors, whole = run(config, reports.append, patience=patience)
        for report in reports:
            save_state(report.state, tmp_path / "s.safetensors")
            again = []
            found, resumed = run(config, again.append, load_state(tmp_path / "s.safetensors"), patience=patience)
            assert_same(found, vectors)
            assert (resumed.steps, resumed.losses) == (whole.steps, whole.losses)
            assert (resumed.best.step, resumed.best.loss) == (whole.best.step, whole.best.loss)
            assert_same(resumed.best.vectors, whole.best.vectors)
            assert [r.step for r in again] == [r.step for r in reports[report.step :]]


def test_the_last_step_of_a_shorter_run_is_not_the_longer_ones(tmp_path):
    """Resumed to more steps it has measured what the longer run measures."""
    short, longer = (config_of("Textual Inversion", steps=steps) for steps in (STEPS + 1, STEPS + 6))
    states = []
    _, ended = run(short, lambda report: states.append(report.state))
    assert ended.steps[-1] == STEPS + 1
    _, resumed = run(longer, resume=states[-1])
    _, whole = run(longer)
    assert (resumed.steps, resumed.losses) == (whole.steps, whole.losses)


def test_angles_come_back_from_a_file(tmp_path):
    reports = []
    run(config_of("DTI"), reports.append)
    save_state(reports[4].state, tmp_path / "s.safetensors")
    found = load_state(tmp_path / "s.safetensors").angles
    for key, values in found.items():
        assert values == pytest.approx([report.angle_to_prior[key] for report in reports[:5]], rel=1e-6)


def test_a_state_of_before_there_was_any(tmp_path):
    """It goes on, and measures from there."""
    states = []
    vectors, _ = run(config_of("DTI"), lambda report: states.append(report.state))
    old = dataclasses.replace(states[4], angles={}, validation=None)
    save_state(old, tmp_path / "s.safetensors")
    found, validation = run(config_of("DTI"), resume=load_state(tmp_path / "s.safetensors"))
    assert_same(found, vectors)
    assert validation.steps == [5, 6, 9, 12]


def test_the_first_of_equals_is_chosen_and_never_the_start():
    best = scripted(3.0, 2.0, 2.0).best
    assert (best.step, best.loss, best.vectors) == (2, 2.0, {"step": 2})
    assert scripted(10.0, 11.0).best.step == 1
    assert scripted().best is None


def test_patience_is_in_steps():
    assert [scripted(*[2.0] * n, every=5, patience=10).is_over for n in range(5)] == [False, False, False, True, True]
    assert not scripted(2.0, 3.0, 1.0, every=5, patience=10).is_over
    assert not scripted(2.0, 3.0, 4.0, 5.0).is_over


def test_a_loss_that_cannot_be_had_chooses_nothing_and_ends_nothing():
    validation = scripted(2.0, math.nan, math.inf, math.nan, patience=2)
    assert (validation.best.step, validation.is_over) == (1, False)
    assert scripted(math.nan).best is None


def test_patience_ends_a_run():
    reports = []
    vectors, validation = run(config_of("DTI", steps=500, options=Options()), reports.append, every=5, patience=20)
    assert len(reports) == validation.best.step + 20 < 500
    assert_same(vectors, reports[-1].vectors)


def test_noise_levels_are_spread_over_the_range_that_is_trained():
    text_encoder = ToyTextEncoder()
    u = EvaluationSet(text_encoder, None, images(), 4, Options(noise_start=0.2, noise_end=0.6))._u
    # In ComfyUI's percent 0 is the noisiest level, and u is the other way round.
    torch.testing.assert_close(u, torch.tensor([0.45, 0.55, 0.65, 0.75]), rtol=0, atol=1e-6)
    assert EvaluationSet(text_encoder, None, images(), 4)._u.max() < MOST_U


def test_in_any_number_of_passes_the_same_is_measured():
    text_encoder = ToyTextEncoder()
    denoiser = NoisyDenoiser(text_encoder)
    measured = EvaluationSet(text_encoder, denoiser, images(), 7)
    rows = {key: vocabulary.rows([3]) for key, vocabulary in text_encoder.vocabularies.items()}
    # Means of seven numbers of about 1 in another order.
    assert measured.loss(rows, 2) == pytest.approx(measured.loss(rows), rel=1e-5)
    assert denoiser.rows == [2, 2, 2, 1, 7]


def test_of_three_images_none_is_left_out():
    assert [n_held_out(n, 1) for n in (1, 3, 4, 6)] == [0, 0, 1, 1]
    assert [n_held_out(n, 2) for n in (4, 5, 9)] == [1, 2, 2]


def named(names: str, repeats: str) -> list[TrainingImage]:
    latents = torch.zeros(4, 4, 4)
    return [
        TrainingImage(latents, latents, (32, 32), (f"{name} {{}}",), repeats=int(count))
        for name, count in zip(names, repeats, strict=True)
    ]


def listed(found: list[TrainingImage]) -> tuple[str, str]:
    return "".join(one.captions[0][0] for one in found), "".join(str(one.repeats) for one in found)


def test_the_mirror_image_of_what_is_held_out_is_not_trained_on():
    trained, held_out = split(named("abcdABCD", "12121212"), 4, 1)
    assert (listed(trained), listed(held_out)) == (("abcABC", "121121"), ("d", "1"))
    trained, held_out = split(named("abcd", "1212"), 4, 0)
    assert (listed(trained), held_out) == (("abcd", "1212"), [])


def test_repeats_are_of_what_is_trained_on():
    """What the trained images have in common by now says nothing; of those that are held out none counts more."""
    trained, held_out = split(named("abcdeABCDE", "2222922229"), 5, 2)
    assert (listed(trained), listed(held_out)) == (("abcABC", "111111"), ("de", "11"))
    drawn = EvaluationSet(ToyTextEncoder(), None, held_out, 2 * DRAWS)._batch.captions
    assert Counter(drawn) == {"d {}": DRAWS, "e {}": DRAWS}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((-1, 25, 0), "held_out is -1"), ((1, 0, 0), "validate_every 0"), ((0, 25, 50), "patience is 50, but held_out")],
)
def test_numbers_that_mean_nothing(numbers, message):
    check_validation(1, 25, 100)
    check_validation(0, 25, 0)
    with pytest.raises(ValueError, match=message):
        check_validation(*numbers)
