"""Where the states of runs lie: a folder for each run of a name, in it the last few states."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from .config import TrainingConfig
from .fingerprints import differences, digest, same_so_far
from .state import TrainingState, load_state, save_state

KEPT_STATES = 3
KEPT_RUNS = 3
# A state may take a twentieth of the time. On a real model, whose steps take a second, each step leaves one, which
# takes a hundredth.
SHARE = 0.05

# In the fingerprints of a run that was not all of one piece: what it went on from.
ORIGIN = "the earlier run"

RESUME = ("auto", "yes", "despite changes", "never")


@dataclass(frozen=True)
class Resumption:
    """What a run goes on from.

    state: None for a start from scratch.
    run: the folder in which to go on; None for a new one.
    fingerprints: of the run that follows; where it is not all of one piece, they say so.
    note: to be told.
    """

    state: TrainingState | None
    run: Path | None
    fingerprints: Mapping[str, str]
    note: str = ""


def resumption(folder: Path, now: Mapping[str, str], config: TrainingConfig, resume: str) -> Resumption:
    """The state under `folder` that a run of `config` with the fingerprints `now` goes on from.

    resume: one of RESUME.
        "auto": a run that ended early and of which nothing has changed, so that the result is that of a start from
        scratch; else that start.
        "yes": a run of which nothing has changed, finished or not.
        "despite changes": such a run, or else the newest.
        "never": from scratch.

    Raises ValueError where "yes" finds no such run, and "despite changes" none at all; the message names what differs.
    """
    if resume not in RESUME:
        raise ValueError(f"resume is {resume!r}; choose one of {', '.join(RESUME)}.")
    scratch = Resumption(None, None, now)
    if resume == "never":
        return scratch
    problems: list[str] = []
    readable = _last_states(folder, problems)
    states = list(islice(readable, 1))
    unread = "".join(f"\n{problem}" for problem in problems)  # of runs newer than that
    states += readable
    broken = "".join(f"\n{problem}" for problem in problems)
    for run, state in states:
        changed = differences(state.fingerprints, now)
        unfinished = state.step < config.steps or not state.delivered
        if resume == "auto" and not changed and same_so_far(state, config) and unfinished:
            return Resumption(state, run, now, f"resumed at step {state.step}{broken}")
        if resume != "auto" and not [change for change in changed if not change.startswith(ORIGIN)]:
            return _continued(state, run, now, config, f"resumed at step {state.step}{broken}")
    if resume == "auto" and unread and (not states or states[0][1].delivered):
        return replace(scratch, note=f"trained from the start, as the run before cannot be read:{unread}")
    if not states and resume == "auto":
        return scratch
    if not states:
        raise _none(folder, broken)
    run, state = states[0]
    different = "; ".join(differences(state.fingerprints, now)) or "the number of steps"
    if resume == "despite changes":
        note = f"resumed at step {state.step} despite changes: {different}{broken}"
        # What was held out may be another now, and its loss nothing to compare with.
        return _continued(replace(state, validation=None), None, now, config, note)
    if resume == "yes":
        raise ValueError(
            f"The run to resume, at step {state.step} in {run}, was another: {different}. Set these back, set resume "
            "to 'despite changes' to go on with them, or to 'never' to train from the start."
        )
    if not state.delivered:
        return replace(
            scratch, note=f"trained from the start, as the run that was stopped differs: {different}{unread}"
        )
    return scratch


def check_resumable(folder: Path, resume: str) -> None:
    """Raise ValueError where `resumption` is bound to fail: what can be known before a model is loaded."""
    if resume in ("yes", "despite changes") and not any(_states(run) for run in _runs(folder)):
        raise _none(folder, "")


def _none(folder: Path, why: str) -> ValueError:
    return ValueError(
        f"There is no training state of this name to resume in {folder}. Set resume to 'auto' to train from the start, "
        f"or give the name of a run that was stopped.{why}"
    )


def _continued(
    state: TrainingState, run: Path | None, now: Mapping[str, str], config: TrainingConfig, note: str
) -> Resumption:
    origin = state.fingerprints.get(ORIGIN)
    if run is not None and same_so_far(state, config):
        return Resumption(state, run, {**now, ORIGIN: origin} if origin else now, note)
    if not same_so_far(state, config):
        shares = [config.options.rate_share(max(state.step, 1), steps) for steps in (state.steps, config.steps)]
        note += (
            f"\nIt was planned for {state.steps} steps and goes on as one of {config.steps}: the learning rate from "
            f"{shares[0]:.3g} to {shares[1]:.3g} of its first value."
        )
    return Resumption(state, None, {**now, ORIGIN: f"{digest(state.fingerprints)} to step {state.step}"}, note)


class StateWriter:
    """Writes the states of one run.

    run: the folder of a run that goes on; None for the next one under `folder`, made with the first state.
    """

    def __init__(self, folder: Path, fingerprints: Mapping[str, str], run: Path | None = None) -> None:
        self._folder, self._fingerprints, self._run = folder, fingerprints, run
        self._due, self._cost = 0.0, math.inf

    def write_where_due(self, state: TrainingState) -> bool:
        """Write unless states have taken their share of the time. Raises OSError."""
        start = time.monotonic()
        if start < self._due:
            return False
        try:
            self.write(state)
        except BaseException:
            end = time.monotonic()
            self._due = end + (end - start) / SHARE  # a disk that is gone may take its time to say so
            raise
        end = time.monotonic()
        # The shortest so far: a disk that is busy for once is no reason to lose steps.
        self._cost = min(self._cost, end - start)
        self._due = end + self._cost / SHARE
        return True

    def write(self, state: TrainingState) -> Path:
        """Write, and remove what is older than the last few. Raises OSError."""
        if self._run is None:
            self._run = _new_run(self._folder)
        path = self._run / f"step-{state.step}.safetensors"
        save_state(replace(state, fingerprints=self._fingerprints), path)
        for older in _states(self._run, up_to=state.step)[KEPT_STATES:]:
            _remove(older)
        return path


def _last_states(folder: Path, problems: list[str]) -> Iterator[tuple[Path, TrainingState]]:
    """The last state of each run that can be read, the newest run first; of others, why not, in `problems`."""
    for run in _runs(folder):
        for path in _states(run):
            try:
                yield run, load_state(path)
                break
            except (OSError, ValueError) as error:
                problems.append(str(error))


def _new_run(folder: Path) -> Path:
    """Made, with the next number. Of two programs that ask, each gets its own. Runs before the last few go."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = _runs(folder)
    number = _number(runs[0]) + 1 if runs else 1
    while True:
        run = folder / f"run-{number}"
        try:
            run.mkdir()
            break
        except FileExistsError:
            number += 1
    for old in runs[KEPT_RUNS - 1 :]:
        for path in _states(old):
            _remove(path)
        with contextlib.suppress(OSError):  # somebody keeps something of his own in it
            old.rmdir()
    return run


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # on Windows another program may be reading it
        path.unlink()


def _runs(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("run-*") if _number(path) >= 0), key=_number, reverse=True)


def _states(run: Path, up_to: int | None = None) -> list[Path]:
    """The last first. By the step and not by the time, as clocks go back."""
    found = [path for path in run.glob("step-*.safetensors") if _number(path) >= 0]
    return sorted((p for p in found if up_to is None or _number(p) <= up_to), key=_number, reverse=True)


def _number(path: Path) -> int:
    match = re.fullmatch(r"(?:run|step)-(\d+)", path.name.removesuffix(".safetensors"))
    return int(match[1]) if match else -1
