# ruff: noqa: T201
"""What a training loses when it is interrupted at any line of the package, or its process killed: one step at most.

    python -m benchmarks.interruptions [--interruptions 100] [--kills 20] [--seed 0]

in the repository's folder, with an environment that has torch. The model is a toy, so that steps take milliseconds and
most of the time goes into what is tried here; the state is written after each step. Every run is resumed until it is
done, and its vectors are then compared bit for bit with those of the run that was left alone.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

import dti_core
from dti_core.methods import METHODS
from dti_core.training import StepReport, TrainingConfig, start_method, train
from dti_core.training.backend import Conditioning
from dti_core.training.data import TrainingImage
from dti_core.training.fingerprints import fingerprints
from dti_core.training.state_folder import StateWriter, resumption
from dti_core.vocabulary import Vocabulary

STEPS = 60
WIDTHS = {"clip_l": 16, "clip_g": 24}
PACKAGE = str(Path(dti_core.__file__).parent)
# Lines of the package between two interruptions; a step has some six hundred.
MOST_LINES = 8000
# From a step to the kill; a step and its state take about this long.
MOST_SECONDS = 0.005


class Words:
    """A text encoder of two tables, whose context is the concept's vectors."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        tables = {key: 0.1 * torch.randn((50, width), generator=generator) for key, width in WIDTHS.items()}
        self.vocabularies = {key: Vocabulary(table) for key, table in tables.items()}

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {key: [len(word) for word in text.split()] for key in WIDTHS}

    def encode(self, captions: Sequence[str], vectors: dict[str, Tensor]) -> Conditioning:
        row = torch.cat([vectors[key].mean(dim=0) for key in WIDTHS])
        return Conditioning(torch.stack([row * len(caption) for caption in captions]).unsqueeze(1), None)


class Network:
    """A denoiser that wants the context to be what was drawn."""

    device = torch.device("cpu")
    loss_scale = 1.0

    def sigmas(self, u: Tensor) -> Tensor:
        return 0.5 + u

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        wanted = (latents + sigma.reshape(-1, 1, 1, 1) * noise).flatten(1)[:, : sum(WIDTHS.values())]
        return (conditioning.context[:, 0] - wanted).square().mean(dim=-1)


class InterruptionError(BaseException):
    """As of a Stop button that is looked at in every line."""


@dataclass(frozen=True)
class Count:
    """interrupted: how often. lost: steps that were done and had to be done again, the most at once and in all.

    equal: of so many runs that were resumed to their end, how many came to the vectors of the run left alone.
    """

    interrupted: int
    most_lost: int
    all_lost: int
    runs: int
    equal: int


def config_of(number: int) -> TrainingConfig:
    """A recipe for each run; every method has its turn."""
    method = list(METHODS)[number % len(METHODS)]
    return TrainingConfig("dog", steps=STEPS, microbatch_size=3, seed=number, method=method)


def run(config: TrainingConfig, folder: Path | None, done: Callable[[int], object]) -> dict[str, Tensor]:
    """Train, or go on, with the state in `folder` after each step, of which `done` is told before."""
    words, generator = Words(), torch.Generator().manual_seed(1)
    means = torch.randn((3, 4, 4, 4), generator=generator)
    images = [TrainingImage(mean, torch.ones_like(mean), (32, 32), ("a {}", "the {}")) for mean in means]
    method = start_method(config, words, {key: torch.ones(1, width) for key, width in WIDTHS.items()})
    if folder is None:
        return train(words, Network(), images, config, method=method)
    found = resumption(folder, fingerprints(config, images, words.vocabularies, {}), config, "auto")
    done(0 if found.state is None else found.state.step)
    writer = StateWriter(folder, found.fingerprints, found.run)

    def on_step(report: StepReport) -> None:
        done(report.step)
        writer.write(report.state)

    return train(words, Network(), images, config, on_step, method=method, resume=found.state)


def counted(wanted: int, attempt: Callable[[int], tuple[list[int], dict[str, Tensor] | None]]) -> Count:
    """Resume runs with `attempt` until so many attempts were interrupted.

    attempt: is given the number of the run; the step from which it went on and those that were then done, and the
    vectors where it came to the end.
    """
    lost, runs, equal, interrupted = [0], 0, 0, 0
    while interrupted < wanted:
        vectors, last = None, 0
        while vectors is None:
            steps, vectors = attempt(runs)
            interrupted += vectors is None
            if steps:
                lost.append(last - steps[0])
                last = steps[-1]
        left_alone = run(config_of(runs), None, lambda step: None)
        runs, equal = runs + 1, equal + all(torch.equal(vectors[key], rows) for key, rows in left_alone.items())
    return Count(interrupted, max(lost), sum(lost), runs, equal)


def interrupted_attempt(number: int, chance: random.Random, folder: Path) -> tuple[list[int], dict[str, Tensor] | None]:
    """Within this process, up to a line drawn by `chance`."""
    steps: list[int] = []
    with interrupted_after(chance.randint(1, MOST_LINES)):
        try:
            return steps, run(config_of(number), folder / str(number), steps.append)
        except InterruptionError:
            return steps, None


def killed_attempt(number: int, chance: random.Random, folder: Path) -> tuple[list[int], dict[str, Tensor] | None]:
    """In a process of its own, killed some milliseconds after a step drawn by `chance`."""
    result = folder / f"vectors_{number}.pt"
    command = [sys.executable, "-m", "benchmarks.interruptions", "--child", str(number), str(folder / str(number))]
    with subprocess.Popen([*command, str(result)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        steps = [int(process.stdout.readline())]
        until = steps[0] + chance.randint(1, STEPS // 3)
        while steps[-1] < until and (line := process.stdout.readline()):
            steps.append(int(line))
        time.sleep(chance.random() * MOST_SECONDS)
        process.kill()
        steps += map(int, process.stdout.read().split())
    return steps, torch.load(result, weights_only=True) if process.returncode == 0 else None


@contextmanager
def interrupted_after(lines: int) -> Iterator[None]:
    """Raise when so many lines of the package have been run; 0 for never."""
    left = lines

    def trace_line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left == 0:
            raise InterruptionError
        return trace_line

    if lines:
        sys.settrace(lambda frame, event, arg: trace_line if frame.f_code.co_filename.startswith(PACKAGE) else None)
    try:
        yield
    finally:
        sys.settrace(None)


def child(number: int, folder: Path, result: Path) -> None:
    """A process that says each step that is done before its state is written."""
    torch.save(run(config_of(number), folder, lambda step: print(step, flush=True)), result)


def main(arguments: Sequence[str] | None = None) -> dict[str, Count]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--interruptions", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(int(options.child[0]), Path(options.child[1]), Path(options.child[2]))
        return {}
    chance, counts = random.Random(options.seed), {}
    print(
        "| | how many | most steps lost at once | steps lost in all | runs resumed to their end | equal, bit for bit |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, wanted, attempt in (
        ("interrupted at any line", options.interruptions, interrupted_attempt),
        ("process killed", options.kills, killed_attempt),
    ):
        with tempfile.TemporaryDirectory() as folder:
            count = counted(wanted, partial(attempt, chance=chance, folder=Path(folder)))
        print("|", " | ".join(map(str, (name, *astuple(count)))), "|")
        counts[name] = count
    return counts


if __name__ == "__main__":
    main()
