"""Which state a run goes on from, and which are kept."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from dti_core.methods import Options
from dti_core.training import state as state_module
from dti_core.training import state_folder
from dti_core.training.state_folder import ORIGIN, StateWriter, resumption
from tests.core.training.test_state import state
from tests.core.training.toy_runs import config_of

NOW = {"seed": "42", "image 1": "sha256:a"}
OTHER = {"seed": "42", "image 1": "sha256:b"}
CONFIG = config_of("DTI", steps=9, options=Options())


def write(folder: Path, *steps: int, fingerprints=NOW, run: Path | None = None) -> StateWriter:
    writer = StateWriter(folder, fingerprints, run)
    for step in steps:
        writer.write(state(step=step))
    return writer


def listed(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    write(tmp_path, 8, 9, 10, 11)
    assert listed(tmp_path) == [f"run-1/step-{step}.safetensors" for step in (10, 11, 9)]
    for _ in range(3):
        write(tmp_path, 1)
    assert {path.split("/")[0] for path in listed(tmp_path)} == {"run-2", "run-3", "run-4"}


@pytest.mark.parametrize("resume", ["auto", "yes", "despite changes"])
def test_a_stopped_run_of_the_same_goes_on_in_its_folder(tmp_path: Path, resume: str) -> None:
    write(tmp_path, 3, 4)
    write(tmp_path, 1, fingerprints=OTHER)
    found = resumption(tmp_path, NOW, CONFIG, resume)
    assert found.state.step == 4 and found.run == tmp_path / "run-1" and found.fingerprints == NOW
    assert found.note == "resumed at step 4"
    write(tmp_path, 5, run=found.run)
    assert resumption(tmp_path, NOW, CONFIG, resume).state.step == 5


def test_never(tmp_path: Path) -> None:
    write(tmp_path, 3)
    assert resumption(tmp_path, NOW, CONFIG, "never").state is None


def test_auto_trains_anew_what_is_done_and_says_what_changed(tmp_path: Path) -> None:
    assert resumption(tmp_path / "none", NOW, CONFIG, "auto").note == ""
    write(tmp_path, 9)
    # Killed before its result was safe.
    assert resumption(tmp_path, NOW, CONFIG, "auto").state.step == 9
    StateWriter(tmp_path, NOW, tmp_path / "run-1").write(state(step=9, delivered=True))
    found = resumption(tmp_path, NOW, CONFIG, "auto")
    assert (found.state, found.note) == (None, "")
    assert resumption(tmp_path, NOW, CONFIG, "yes").state.step == 9
    write(tmp_path, 4, fingerprints=OTHER)
    found = resumption(tmp_path, NOW, CONFIG, "auto")
    assert found.state is None and found.note.endswith("differs: image 1 changed")


def test_what_differs_is_named_and_wants_a_switch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no training state of this name"):
        resumption(tmp_path, NOW, CONFIG, "yes")
    write(tmp_path, 4, fingerprints=OTHER)
    with pytest.raises(ValueError, match=r"at step 4 .* was another: image 1 changed. .*'despite changes'"):
        resumption(tmp_path, NOW, CONFIG, "yes")
    found = resumption(tmp_path, NOW, CONFIG, "despite changes")
    assert found.state.step == 4 and "despite changes: image 1 changed" in found.note
    # Nothing that was measured on other images is compared with.
    assert found.state.validation is None
    # Its folder stays as it was; and the run that follows is not taken for one from scratch.
    assert found.run is None
    write(tmp_path, 5, fingerprints=found.fingerprints)
    assert resumption(tmp_path, OTHER, CONFIG, "yes").state.step == 4
    found = resumption(tmp_path, NOW, CONFIG, "auto")
    assert found.state is None and "the earlier run" in found.note
    again = resumption(tmp_path, NOW, CONFIG, "yes")
    assert again.state.step == 5 and again.run == tmp_path / "run-2" and ORIGIN in again.fingerprints


def test_more_steps_under_a_schedule(tmp_path: Path) -> None:
    longer = config_of("DTI", steps=18, options=Options(decay="linear"))
    StateWriter(tmp_path, NOW).write(state(step=9, delivered=True))
    found = resumption(tmp_path, NOW, longer, "auto")
    assert found.state is None
    found = resumption(tmp_path, NOW, longer, "yes")
    assert found.state.step == 9 and found.run is None and ORIGIN in found.fingerprints
    assert "planned for 9 steps and goes on as one of 18: the learning rate from 0.111 to 0.556" in found.note
    # Without one, a longer run comes through the same state.
    longer = config_of("DTI", steps=18, options=Options())
    assert resumption(tmp_path, NOW, longer, "auto").state.step == 9


def test_an_unreadable_state_gives_way_to_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, 3, 4)
    (tmp_path / "run-1" / "step-4.safetensors").write_bytes(b"cut off")
    (tmp_path / "run-1" / ".dti-0123.tmp").write_bytes(b"of a save that was killed")
    (tmp_path / "run-1" / "step-x.safetensors").touch()
    found = resumption(tmp_path, NOW, CONFIG, "yes")
    assert found.state.step == 3 and "step-4.safetensors is truncated" in found.note
    (tmp_path / "run-1" / "step-3.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no training state .*\n.*truncated"):
        resumption(tmp_path, NOW, CONFIG, "yes")


@pytest.mark.parametrize("fault", ["truncated", "newer version", "not allowed"])
def test_what_auto_cannot_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Somebody who presses Run again after Stop is not left to find out."""
    last = tmp_path / "run-1" / "step-4.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(state_module, "VERSION", 2 if fault == "newer version" else 1)
        write(tmp_path, 4)
    if fault == "truncated":
        last.write_bytes(last.read_bytes()[:-9])
    if fault == "not allowed":
        opened = state_module.safe_open

        def open_others(path: Path, *rest: str) -> object:
            if path == last:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return opened(path, *rest)

        monkeypatch.setattr(state_module, "safe_open", open_others)
    reason = {"truncated": "is truncated", "newer version": "version 2.*Update the pack", "not allowed": "ermission"}
    found = resumption(tmp_path, NOW, CONFIG, "auto")
    assert found.state is None
    assert re.search(f"trained from the start, as the run before cannot be read:\n.*{reason[fault]}", found.note)
    # A run that came to its end since: nothing is missing.
    StateWriter(tmp_path, NOW).write(state(step=9, delivered=True))
    assert resumption(tmp_path, NOW, CONFIG, "auto").note == ""


def test_two_programs_that_go_on_with_one_run_leave_whole_states(tmp_path: Path) -> None:
    write(tmp_path, 3)
    first, second = (resumption(tmp_path, NOW, CONFIG, "auto") for _ in range(2))
    assert first.run == second.run
    writers = [StateWriter(tmp_path, NOW, found.run) for found in (first, second)]
    for step in (4, 5, 6, 7):
        writers[0].write(state(step=step))
        if step % 2:
            writers[1].write(state(step=step - 1))
    assert resumption(tmp_path, NOW, CONFIG, "auto").state.step == 7


def test_the_newest_is_told_by_its_number_and_not_by_a_clock(tmp_path: Path) -> None:
    write(tmp_path, 3, 4)
    write(tmp_path, 2)
    os.utime(tmp_path / "run-2" / "step-2.safetensors", (0, 0))
    os.utime(tmp_path / "run-1" / "step-4.safetensors", (1, 1))
    assert resumption(tmp_path, NOW, CONFIG, "yes").state.step == 2


def test_two_programs_on_one_name_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = StateWriter(tmp_path, NOW), StateWriter(tmp_path, OTHER)
    monkeypatch.setattr(state_folder, "_runs", lambda folder: [])  # neither has seen the other's
    first.write(state(step=1)), second.write(state(step=1))
    monkeypatch.undo()
    assert listed(tmp_path) == ["run-1/step-1.safetensors", "run-2/step-1.safetensors"]


def test_a_deleted_folder_is_made_again(tmp_path: Path) -> None:
    writer = write(tmp_path / "dog", 1)
    shutil.rmtree(tmp_path / "dog")
    writer.write(state(step=2))
    assert listed(tmp_path) == ["dog/run-1/step-2.safetensors"]


@pytest.mark.parametrize(
    ("seconds", "expected"), [([1, 1, 1], [1, 11, 21]), ([1, 40, 1], [1, 11, 21]), ([2, 1], [1, 21])]
)
def test_states_take_their_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: list[int], expected: list[int]
) -> None:
    """On a clock of the test's own: a write takes a second, and a hundred pass until the next. The shortest counts."""
    now, takes = [1000.0], iter(seconds)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(*_: object) -> None:
        now[0] += next(takes)

    monkeypatch.setattr(state_folder, "save_state", slow)
    monkeypatch.setattr(state_folder, "SHARE", 0.01)
    writer = StateWriter(tmp_path, NOW)
    written = []
    for step in range(1, 31):
        written += [step] * writer.write_where_due(state(step=step))
        now[0] += 10
    assert written == expected


def test_a_later_state_is_written_where_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StateWriter(tmp_path, NOW)
    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"free some space"):
        patch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        writer.write_where_due(state(step=1))
    writer.write(state(step=2))
    assert listed(tmp_path) == ["run-1/step-2.safetensors"]


def test_another_word(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"resume is 'maybe'; choose one of auto, yes"):
        resumption(tmp_path, NOW, CONFIG, "maybe")
