"""Interrupted at any line of the package, or killed: a toy model, whose steps take milliseconds.

Most of the time goes into what is tried here; the state is written after each step.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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


def config_of(number: int) -> TrainingConfig:
    """A recipe for each run; every method has its turn."""
    method = list(METHODS)[number % len(METHODS)]
    return TrainingConfig("dog", steps=STEPS, microbatch_size=3, seed=number, method=method)


def left_alone(number: int) -> dict[str, Tensor]:
    """The vectors of a run that nothing disturbs."""
    return run(config_of(number), None, lambda step: None)


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
    command = [sys.executable, "-m", "benchmarks.interruptions.toy", str(number), str(folder / str(number))]
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
    torch.save(run(config_of(number), folder, lambda step: print(step, flush=True)), result)  # noqa: T201


if __name__ == "__main__":
    child(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
