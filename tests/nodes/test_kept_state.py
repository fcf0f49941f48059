"""The state beside a run in the host's output folder."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dti_core.training.fingerprints import differences
from dti_core.training.state_folder import Resumption
from tests.core.training.test_state import state
from tests.core.training.toy_runs import images


@pytest.fixture
def output(comfy_modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path


def kept(name: str):
    module = importlib.import_module("dti_pack.nodes.host.training.kept_state")
    return module.KeptState(module.states_folder(name), Resumption(None, None, {}))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_at_stop_the_step_is_kept_before_the_run_ends(output: Path) -> None:
    keeper = kept("pets/dog")

    def stop(report: SimpleNamespace) -> None:
        assert files(output) == ["dti_states/pets/dog/run-1/step-1.safetensors"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), keeper.keeping():
        keeper.before(stop)(SimpleNamespace(state=state(step=1)))
    assert keeper.hint() == "To go on from step 1, press Run with nothing changed and resume on 'auto'."


def test_what_was_not_due_is_kept_at_an_error(output: Path) -> None:
    keeper = kept("dog")
    on_step = keeper.before(lambda report: None)
    with pytest.raises(RuntimeError), keeper.keeping():
        for step in (1, 2, 3, 4):
            on_step(SimpleNamespace(state=state(step=step)))
        raise RuntimeError
    assert "dti_states/dog/run-1/step-4.safetensors" in files(output)


def test_a_run_that_never_took_a_step_leaves_nothing(output: Path) -> None:
    keeper = kept("dog")
    with pytest.raises(RuntimeError), keeper.keeping():
        keeper.before(lambda report: None)(SimpleNamespace(state=state(step=0)))
        raise RuntimeError
    assert (files(output), keeper.hint()) == ([], "")


def test_a_state_that_cannot_be_written_ends_nothing_and_is_said(output: Path) -> None:
    (output / "dti_states").touch()
    keeper, steps = kept("dog"), []
    with keeper.keeping():
        keeper.before(steps.append)(SimpleNamespace(state=state(step=1)))
    assert len(steps) == 1
    (said,) = keeper.notes()
    assert said == keeper.hint() and said.startswith("The training state was not saved")
    (output / "dti_states").unlink()
    keeper.finish()
    assert keeper.notes() == [] and files(output) == ["dti_states/dog/run-1/step-1.safetensors"]


def test_steps_that_came_to_nothing_are_counted(load_models: object) -> None:
    report = importlib.import_module("dti_pack.nodes.host.training.run_report").RunReport
    run = report((), "7", steps=4, save_every=0, memory="", watch=None)
    assert run.left_out() == []
    run.losses += (0.5, float("nan"), float("inf"))
    assert run.left_out() == ["2 of 3 steps were left out: their loss was not a finite number"]


def test_what_was_asked_of_the_images_is_part_of_a_run(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With mirror there are two images for each picture."""
    module = importlib.import_module("dti_pack.nodes.host.training.kept_state")
    monkeypatch.setattr(module, "model_fingerprint", lambda patcher: "same")
    config = importlib.import_module("dti_pack.dti_core.training").TrainingConfig("dog")
    pictures = [torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(1))]
    models = dict.fromkeys(("clip", "vae"), SimpleNamespace(patcher=None))
    inputs = {**models, "model": None, "name": "dog", "resolution": 64, "start_from": None, "resume": "auto"}
    inputs |= {"background_weight": 0.1, "held_out": 1, "validate_every": 25, "crop": "square", "random_crop": 0.0}
    (plain,), flipped = images()[:1], images()[1]

    def named(data: list, **asked: object) -> dict[str, str]:
        seen = []
        monkeypatch.setattr(
            module, "resumption", lambda folder, now, *rest: seen.append(now) or Resumption(None, None, {})
        )
        module.kept_state({**inputs, "class_word": False, "mirror": False, **asked}, config, [data], [pictures], {}, {})
        return seen[0]

    before = named([plain])
    assert differences(before, named([plain], class_word=True)) == ["class_word was False and is True"]
    cropped = named([plain], crop="keep aspect", random_crop=0.1)
    assert differences(before, cropped) == [
        "crop was not set and is keep aspect",
        "random_crop was not set and is 0.1",
    ]
    mirrored = named([plain, flipped], mirror=True)
    assert "mirror was False and is True" in differences(before, mirrored)
    assert mirrored["image 1"] != mirrored["image 2"]
    masked = [replace(plain, weights=torch.ones(plain.mean.shape[-2:]))]
    assert "background_weight was not set and is 0.1" in differences(before, named(masked))
    # Of one image none is held out, and a run of an earlier version goes on.
    assert "held_out" not in before and "validate_every" not in before
    pictures *= 4
    held_out = named([plain] * 4)
    assert (held_out["held_out"], held_out["validate_every"]) == ("1", "25")
