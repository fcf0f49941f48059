"""The state file: what it carries, and what is made of files that are not whole."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dti_core.files.embedding_file import load_embedding
from dti_core.training import state as module
from dti_core.training.state import TrainingState, load_state, save_state
from dti_core.training.validation import Chosen, ValidationState


def state(**changes) -> TrainingState:
    method = {"rows": {"clip_l": torch.ones(2, 3)}, "optimizer": {"state": {0: {"step": 3}}, "groups": [{"lr": 0.1}]}}
    generator = torch.Generator().manual_seed(1).get_state()
    whole = TrainingState(
        step=3,
        steps=9,
        method=method,
        generator=generator,
        loss_scale=1024.0,
        microbatch_size=2,
        losses=(0.5, float("nan"), 0.1),
        fingerprints={"seed": "42"},
        angles={"clip_l": (1.0, 2.0, 3.5)},
        validation=ValidationState((0, 2), (0.1, 0.7), Chosen(2, 0.7, {"clip_l": torch.ones(2, 3)})),
    )
    return dataclasses.replace(whole, **changes)


def test_all_comes_back(tmp_path: Path) -> None:
    save_state(state(), tmp_path / "s.safetensors")
    found = load_state(tmp_path / "s.safetensors")
    assert (found.step, found.steps, found.loss_scale, found.microbatch_size) == (3, 9, 1024.0, 2)
    assert torch.equal(found.generator, state().generator)
    assert torch.equal(found.method["rows"]["clip_l"], torch.ones(2, 3))
    assert found.method["optimizer"] == {"state": {0: {"step": 3}}, "groups": [{"lr": 0.1}]}
    torch.testing.assert_close(torch.tensor(found.losses), torch.tensor(state().losses), equal_nan=True)
    assert found.fingerprints == {"seed": "42"}
    assert found.angles == {"clip_l": (1.0, 2.0, 3.5)}
    assert (found.validation.steps, found.validation.losses) == ((0, 2), (0.1, 0.7))
    best = found.validation.best
    assert (best.step, best.loss) == (2, 0.7) and torch.equal(best.vectors["clip_l"], torch.ones(2, 3))


def test_nothing_held_out_and_nothing_chosen_yet(tmp_path: Path) -> None:
    save_state(state(validation=None), tmp_path / "s.safetensors")
    assert load_state(tmp_path / "s.safetensors").validation is None
    save_state(state(validation=ValidationState((0,), (float("nan"),), None)), tmp_path / "s.safetensors")
    assert load_state(tmp_path / "s.safetensors").validation.best is None


def test_what_several_concepts_have_measured(tmp_path: Path) -> None:
    one = state().validation
    both = {"steps": one, "best": ValidationState((0,), (0.5,), None)}  # names as fields are called
    save_state(state(validation=both), tmp_path / "s.safetensors")
    found = load_state(tmp_path / "s.safetensors").validation
    assert list(found) == ["steps", "best"] and (found["best"].losses, found["best"].best) == ((0.5,), None)
    assert (found["steps"].losses, found["steps"].best.step) == (one.losses, 2)
    assert torch.equal(found["steps"].best.vectors["clip_l"], one.best.vectors["clip_l"])


def test_of_the_first_version_without_angles_and_validation(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_state(state(angles={}, validation=None), path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = json.loads(file.metadata()[module.NOTE])
    del header["angles"], header["validation"]
    text = json.dumps(header)
    save_file(tensors, path, {module.NOTE: text, module.HASH_NOTE: module._digest(text, tensors)})
    found = load_state(path)
    assert (found.step, found.angles, found.validation) == (3, {}, None)


def test_a_few_kilobytes_that_no_prompt_reads(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    rows = {"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280)}
    save_state(state(method={"v": rows, "mu": rows, "sum": rows}), path)
    assert path.stat().st_size < 40_000
    with safe_open(path, "pt") as file:
        assert not {"clip_l", "clip_g", "emb_params"} & set(file.keys())
    with pytest.raises(ValueError):
        load_embedding(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / "s.safetensors"
    save_state(state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"truncated or no training state.*Resume from an earlier one"):
        load_state(path)


def test_a_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_state(state(), path)
    content = bytearray(path.read_bytes())
    for place in (-1, content.index(b"1024.0")):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is damaged"):
            load_state(path)


def test_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.safetensors"
    monkeypatch.setattr(module, "VERSION", 7)
    save_state(state(), path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"of version 7.*reads up to 1\. Update the pack"):
        load_state(path)


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_file({"emb_params": torch.ones(1, 4)}, path)
    with pytest.raises(ValueError, match=r"is no training state"):
        load_state(path)
    with pytest.raises(OSError):
        load_state(tmp_path / "none.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "s.safetensors"
    save_state(state(), path)
    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"file was not saved .*free some space"):
        patch.setattr(os, call, full)
        save_state(state(step=4), path)
    assert load_state(path).step == 3
    assert os.listdir(tmp_path) == ["s.safetensors"]


def test_what_a_file_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"method.hook is function"):
        save_state(state(method={"hook": state}), tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []


def test_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_state(state(), path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()[module.NOTE])
    assert header["version"] == module.VERSION
