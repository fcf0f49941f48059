"""A run that was stopped or killed, and resumed, is the run that was not, bit for bit."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from comfy_host.environment import REPO
from dti_core.methods import METHODS, Options
from dti_core.training.state import load_state, save_state
from tests.core.training.toy_runs import STEPS, config_of, run, run_in_folder


class StopError(Exception):
    """What an interrupt raises."""


def stop_after(step: int, seen: list | None = None):
    def on_step(report):
        if seen is not None:
            seen.append(report)
        if report.step == step:
            raise StopError

    return on_step


def assert_same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for key, rows in expected.items():
        assert torch.equal(found[key], rows)


@pytest.mark.parametrize("method", METHODS)
def test_resumed_from_a_file_after_any_step(method, tmp_path):
    config = config_of(method)
    reports = []
    whole = run(config, reports.append)
    for report in reports:
        path = tmp_path / "state.safetensors"
        save_state(report.state, path)
        again = []
        assert_same(run(config, again.append, load_state(path)), whole)
        assert [r.step for r in again] == list(range(report.step + 1, STEPS + 1))
        assert [r.loss for r in again] == [r.loss for r in reports[report.step :]]
        if again:
            assert again[-1].state.losses == reports[-1].state.losses


def process(folder, *methods):
    """A new process that trains with these methods, with its states and results in `folder`."""
    command = [sys.executable, "-m", "tests.core.training.toy_runs", str(folder), *methods]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)


def test_killed_or_stopped_and_resumed_in_a_new_process(tmp_path):
    """The one that is killed has said when a step's state is on disk, and works on."""
    for number, method in enumerate(METHODS, start=1):
        if method != "DTI":
            with pytest.raises(StopError):
                run_in_folder(config_of(method), tmp_path / method, stop_after(number))
    with process(tmp_path, "DTI") as killed:
        while killed.stdout.readline().strip() != "DTI 4":
            assert killed.poll() is None
        killed.kill()
    assert not (tmp_path / "DTI.pt").exists()
    with process(tmp_path, *METHODS) as resumed:
        said = resumed.stdout.read().split("\n")
    assert not {"DTI 1", "DTI 4", "CrossInit 1"} & set(said) and f"DTI {STEPS}" in said
    for method in METHODS:
        assert_same(torch.load(tmp_path / f"{method}.pt", weights_only=True), run(config_of(method)))


def test_a_step_that_fails_midway_is_done_again(tmp_path):
    """In the second microbatch, when the batch is drawn and a part of the gradient is there."""
    config = config_of("DTI")
    calls = []

    def fail(denoiser):
        plain = denoiser.loss

        def loss(*args):
            calls.append(args)
            if len(calls) == 2 * 5 + 2:
                raise KeyboardInterrupt
            return plain(*args)

        denoiser.loss = loss

    states = []
    with pytest.raises(KeyboardInterrupt):
        run(config, lambda report: states.append(report.state), change=fail)
    assert states[-1].step == 5
    assert_same(run(config, resume=states[-1]), run(config))


@pytest.mark.parametrize("method", METHODS)
def test_a_state_in_memory_does_not_change_with_later_steps(method):
    states = []
    whole = run(config_of(method, steps=5), lambda report: states.append(report.state))
    for state in (states[0], states[0], states[2]):
        assert_same(run(config_of(method, steps=5), resume=state), whole)


def test_to_more_steps_without_a_schedule():
    states = []
    short = config_of("DTI", options=Options())
    run(short, lambda report: states.append(report.state))
    longer = dataclasses.replace(short, steps=STEPS + 6)
    assert_same(run(longer, resume=states[-1]), run(longer))


def test_an_average_begins_where_the_longer_run_begins_it():
    """What the shorter run has averaged already does not count."""
    states, without = [], []
    run(config_of("DTI"), lambda report: states.append(report.state))
    longer = config_of("DTI", steps=STEPS + 6)
    found = run(longer, resume=states[-1])
    plain = config_of("DTI", steps=STEPS + 6, options=Options(kappa_share=0.05))
    run(plain, lambda report: without.append(report.vectors))
    mean = {key: sum(rows[key] for rows in without[-4:]) for key in found}
    for key, rows in found.items():
        cosine = torch.nn.functional.cosine_similarity(rows, mean[key])
        torch.testing.assert_close(cosine, torch.ones(1), atol=1e-5, rtol=0)


def test_to_fewer_steps_than_are_done():
    states = []
    run(config_of("Textual Inversion"), lambda report: states.append(report.state))
    with pytest.raises(ValueError, match=rf"at step {STEPS}, and steps is 5: set steps to {STEPS}"):
        run(config_of("Textual Inversion", steps=5), resume=states[-1])


def test_a_finished_run_gives_its_result_again():
    states = []
    whole = run(config_of("DTI"), lambda report: states.append(report.state))
    assert_same(run(config_of("DTI"), stop_after(1), states[-1]), whole)


@pytest.mark.parametrize(("of", "to"), [("DTI", "Textual Inversion"), ("Textual Inversion", "DTI")])
def test_another_method(of, to):
    states = []
    run(config_of(of), lambda report: states.append(report.state))
    with pytest.raises(ValueError, match=r"of another method"):
        run(config_of(to), resume=states[0])


def test_a_smaller_microbatch_is_kept():
    """Rounding depends on it."""
    config = dataclasses.replace(config_of("DTI"), microbatch_size=1)
    states = []
    whole = run(config, lambda report: states.append(report.state))
    assert_same(run(dataclasses.replace(config, microbatch_size=0), resume=states[2]), whole)


def test_steps_without_a_finite_loss_are_left_out_and_the_last_good_state_is_kept(tmp_path):
    config = config_of("DTI", steps=60)
    count = []

    def break_after_seven(denoiser):
        plain = denoiser.loss

        def loss(*args):
            count.append(1)
            return plain(*args) * (float("nan") if len(count) > 2 * 7 else 1)

        denoiser.loss = loss

    reports = []
    with pytest.raises(FloatingPointError, match=r"25 steps in a row .*loss is nan.* step 7 is the last good one"):
        run(config, reports.append, change=break_after_seven)
    assert len(reports) == 7 + 25
    assert {report.state.step for report in reports[6:]} == {7}
    # With the model mended the run goes on as if nothing had been.
    assert_same(run(config, resume=reports[-1].state), run(config))


@pytest.mark.parametrize("method", METHODS)
def test_other_settings_take_effect_from_there_on(method):
    states = []
    plain = config_of(method, options=Options())
    run(plain, lambda report: states.append(report.state))
    unchanged = run(plain, resume=states[4])
    for change in ({"learning_rate": 0.01}, {"kappa": 0.5}, {"magnitude": 0.7}):
        if set(change) & METHODS[method].ignores:
            continue
        found = run(dataclasses.replace(plain, **change), resume=states[4])
        for key, rows in found.items():
            assert torch.dist(rows, unchanged[key]) > 1e-3, change


def test_a_loss_scale_is_not_carried_to_or_from_a_network_that_needs_none():
    states = []
    run(config_of("DTI"), lambda report: states.append(report.state))
    for was, needed, expected in ((1.0, 2.0**15, 2.0**15), (2.0**12, 2.0**15, 2.0**12), (2.0**12, 1.0, 1.0)):
        again = []
        run(
            config_of("DTI"),
            again.append,
            dataclasses.replace(states[4], loss_scale=was),
            lambda denoiser, needed=needed: setattr(denoiser, "loss_scale", needed),
        )
        assert again[0].state.loss_scale == expected


def test_a_lowered_loss_scale_is_kept():
    config = config_of("DTI", steps=6)

    def scaled(denoiser):
        denoiser.loss_scale = 2.0**15
        plain = denoiser.loss

        def loss(*args):
            losses = plain(*args)
            losses.register_hook(lambda gradient: torch.where(gradient.abs() > 4000, torch.inf, gradient))
            return losses

        denoiser.loss = loss

    reports = []
    whole = run(config, reports.append, change=scaled)
    assert reports[0].state.step == 0 and reports[-1].state.loss_scale < 2.0**15
    assert_same(run(config, resume=reports[-2].state, change=scaled), whole)


def test_stopped_after_every_step(tmp_path):
    config = config_of("projected AdamW")
    for step in range(1, STEPS + 1):
        with pytest.raises(StopError):
            run_in_folder(config, tmp_path, stop_after(step))
    assert_same(run_in_folder(config, tmp_path), run(config))
