"""What goes wrong around a whole run of DTI Train costs no work, and is said."""

from __future__ import annotations

import errno
import gc
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.nodes.whole_runs import QUICK, whole_run  # noqa: F401


def same(found, expected) -> bool:
    return all(torch.equal(found[key], rows) for key, rows in expected.items())


@pytest.fixture
def writes(monkeypatch, comfy_modules) -> list[Path]:
    """Where files are written, states after every step; `fail(path, number)` may raise for one."""
    from dti_pack.dti_core.files import atomic_write
    from dti_pack.dti_core.training import state_folder

    class Writes(list):
        fail: Callable[[int], None] = staticmethod(lambda number: None)

    seen = Writes()
    write = atomic_write._write

    def noted(content: bytes, path: Path) -> None:
        seen.append(path)
        path.touch()
        seen.fail(len(seen))
        path.unlink()
        write(content, path)

    monkeypatch.setattr(atomic_write, "_write", noted)
    monkeypatch.setattr(state_folder, "SHARE", math.inf)
    return seen


def refusing(code: int, only: int | None = None) -> Callable[[int], None]:
    def fail(number: int) -> None:
        if only in (None, number):
            raise OSError(code, os.strerror(code))

    return fail


def test_a_full_disk_at_every_write(whole_run, writes):  # noqa: F811
    plain = whole_run("plain")
    # Two states and a step in between, the result, and the state that says so.
    count = len(writes)
    assert count == 5 and len(whole_run.files()) == 4
    for number in range(1, count + 1):
        writes.clear()
        writes.fail = refusing(errno.ENOSPC, only=number)
        run = whole_run(f"full_{number}")
        said = "\n".join([run.saved.message, *run.notes, *whole_run.shown])
        assert same(run.saved.embedding.vectors, plain.saved.embedding.vectors)
        assert ("is trained, but no prompt can read it yet" in run.saved.message) == (run.saved.path is None)
        if number in (1, 3):  # a later state says all that an earlier one would have
            assert run.notes == []
        else:
            assert "No space left" in said and "free some space" in said
        whole_run.shown.clear()
    writes.clear()
    writes.fail = refusing(errno.ENOSPC)
    run = whole_run("full")
    assert same(run.saved.embedding.vectors, plain.saved.embedding.vectors) and run.saved.path is None
    assert "training state was not saved" in "\n".join(run.notes)
    assert not [name for name in whole_run.files() if name.endswith(".tmp") or name.startswith("full.")]


def test_a_permission_lost_on_the_way(whole_run, writes):  # noqa: F811
    writes.fail = lambda number: refusing(errno.EACCES)(number) if number > 1 else None
    run = whole_run()
    assert "Permission denied" in run.saved.message and "Save DTI Embedding" in run.saved.message
    assert any("training state was not saved" in note and "Permission denied" in note for note in run.notes)
    # With it given back, the result is there without training again: the state knows all but the last step.
    writes.fail = refusing(0, only=0)
    again = whole_run()
    assert same(again.saved.embedding.vectors, run.saved.embedding.vectors)
    assert again.saved.path is not None and again.notes[0].startswith("resumed at step 1")


def test_folders_deleted_on_the_way(whole_run, writes):  # noqa: F811
    def delete(number: int) -> None:
        if number == 3:
            for folder in (whole_run.embeddings, whole_run.output):
                shutil.rmtree(folder)

    plain = whole_run("plain")
    writes.clear()
    writes.fail = delete
    run = whole_run()
    assert same(run.saved.embedding.vectors, plain.saved.embedding.vectors)
    assert run.saved.path is not None and whole_run.files() == ["dog.safetensors", "step-2.safetensors"]


def test_steps_that_come_to_nothing(whole_run, monkeypatch):  # noqa: F811
    """One is left out and told; where all do, the run ends with the last good step, from which it can go on."""
    from dti_pack.nodes.host.training.denoiser import HostDenoiser

    plain, calls, loss = whole_run("plain", steps=4), [], HostDenoiser.loss
    broken: list[int] = [3]  # the first is the session's own trial

    def breaking(self, *args):
        calls.append(1)
        return loss(self, *args) * (math.nan if len(calls) in broken else 1.0)

    monkeypatch.setattr(HostDenoiser, "loss", breaking)
    run = whole_run("once", steps=4)
    assert [math.isfinite(one) for one in run.losses] == [True, False, True, True]
    assert "1 of 4 steps were left out: their loss was not a finite number" in run.notes

    calls.clear()
    broken[:] = range(4, 100)
    with pytest.raises(FloatingPointError, match=r"25 steps in a row .* step 2 is the last good one"):
        whole_run(steps=60)
    assert "To go on from step 2, press Run" in whole_run.shown[-1]
    broken.clear()
    again = whole_run(steps=4)
    assert again.notes[0] == "resumed at step 2"
    assert same(again.saved.embedding.vectors, plain.saved.embedding.vectors)


def test_killed_when_the_result_is_saved_but_not_handed_on(whole_run, writes, monkeypatch):  # noqa: F811
    from dti_pack.nodes.host.training.run_watch import RunWatch

    def killed(self, vae):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunWatch, "picture", killed)
        whole_run()
    before = whole_run.files()
    again = whole_run(if_exists="replace")
    assert again.notes == [f"resumed at step {QUICK['steps']}"] and whole_run.files() == before
    assert "resumed" not in "".join(whole_run("dog", if_exists="replace").notes)


def test_runs_leave_nothing_behind_in_memory(whole_run, monkeypatch):  # noqa: F811
    from dti_pack.nodes.host.training import previews

    monkeypatch.setattr(previews, "STEPS", 1)
    monkeypatch.setattr(previews, "FULL_STEPS", 1)

    def held() -> tuple[int, int]:
        gc.collect()
        handles = Path("/proc/self/fd")
        # By type: some objects answer isinstance with a warning.
        tensors = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
        return tensors, len(list(handles.iterdir())) if handles.is_dir() else 0

    counts = []
    for _ in range(5):
        whole_run(if_exists="replace", resume="never", preview_every=1)
        counts.append(held())
    # The first leaves what the host keeps of a kind.
    assert counts[1:] == counts[1:2] * 4
    # Of the runs of a name the last few are kept.
    assert len([name for name in whole_run.files() if name.startswith("step-")]) <= 9
