"""Whether a world's model draws well enough to compare methods on it.

python -m small_world.gates CHECKPOINT --comfyui COMFYUI [--sheet OUT.png]    exit status 0 only where all gates hold

The judge reads images of full descriptions, images of prompts that say nothing of the thing but its class word, and,
for scale, drawings of the same scenes. No scene of these was in any training.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from .comfyui import start_log, use_comfyui
from .dataset import scene_at
from .drawing import draw
from .grammar import EVERYTHING, Habits, describe
from .judge import Judge, holds, truth
from .sample import Painter, Sampling, sheet
from .scenes import Look, Scene

SEED = 78  # of scenes that no training and no judge sees
COUNT = 160
CLASS_WORD = replace(EVERYTHING, texture=0.0, colour=0.0, marking=0.0)
GATES = {
    "shape": 0.92, "colour": 0.90, "second": 0.85, "texture": 0.90, "place": 0.93, "background": 0.97, "size": 0.90,
    "accompanied": 0.75, "likeness": 0.87,
}  # fmt: skip
_OF_CLASS_WORDS = ("shape", "place", "background", "size", "accompanied")
_COMPANY = ("companion", "companions", "companion_colour")
log = logging.getLogger(__name__)
Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Gate:
    """One demand: what was measured, of which prompts, against what it has to reach; `drawn` is the drawings' value."""

    prompts: str
    name: str
    generated: float
    drawn: float
    wanted: float

    @property
    def open(self) -> bool:
        return self.generated >= self.wanted


def plain_scenes(count: int) -> list[Scene]:
    """Held-out scenes of the plain look."""
    return [replace(scene_at(index, SEED), look=Look()) for index in range(count)]


def read(judge: Judge, pictures: Pictures, scenes: Sequence[Scene]) -> dict[str, float]:
    """Shares of the images [n, 128, 128, 3] that show what their scenes have, by attribute.

    `accompanied`: of the scenes with a companion, whether it is there, once, in its shape and colour. `likeness`: mean
    cosine with a drawing of the same thing.
    """
    right: dict[str, list[bool]] = {}
    for seen, scene in zip(judge.read(pictures), scenes, strict=True):
        shown = truth(scene)
        for name, value in shown.items():
            right.setdefault(name, []).append(holds(seen, name, value))
        if scene.companion != "none":
            right.setdefault("accompanied", []).append(all(seen[name] == shown[name] for name in _COMPANY))
    shares = {name: float(np.mean(hits)) for name, hits in right.items()}
    same = judge.embed(pictures) * judge.embed(drawings(scenes, seed=1))
    return {**shares, "likeness": float(same.sum(1).mean())}


def drawings(scenes: Sequence[Scene], seed: int = 0) -> Pictures:
    return np.stack([draw(replace(scene, seed=scene.seed + seed)) for scene in scenes])


def prompts(scenes: Sequence[Scene], habits: Habits) -> list[str]:
    rng = np.random.default_rng(0)
    return [describe(scene, rng, habits).text for scene in scenes]


def gates(described: Mapping[str, float], named: Mapping[str, float], drawn: Mapping[str, float]) -> list[Gate]:
    """All demands, given what was read of images of descriptions, of class words, and of drawings."""
    of_all = [Gate("description", name, described[name], drawn[name], least) for name, least in GATES.items()]
    return of_all + [Gate("class word", name, named[name], drawn[name], GATES[name]) for name in _OF_CLASS_WORDS]


def main() -> None:
    parser = argparse.ArgumentParser(description="Does the model draw what it is told?")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--count", type=int, default=COUNT, help="scenes, each drawn from two prompts")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--judge", type=Path, help="another judge than the repository's")
    parser.add_argument("--sheet", type=Path, help="the first forty images of descriptions go there")
    options = parser.parse_args()
    use_comfyui(options.comfyui)
    start_log()
    torch.set_num_threads(1)
    judge = Judge.load(options.judge) if options.judge else Judge.load()
    painter, how = Painter(options.checkpoint), Sampling(steps=options.steps)
    scenes = plain_scenes(options.count)
    described = painter.paint(prompts(scenes, EVERYTHING), range(len(scenes)), how)
    named = painter.paint(prompts(scenes, CLASS_WORD), range(len(scenes)), how)
    if options.sheet:
        sheet(described[:40], 8).save(options.sheet)
        log.info("Wrote %s; its prompts:", options.sheet)
        for number, text in enumerate(prompts(scenes, EVERYTHING)[:40], start=1):
            log.info("%2d %s", number, text)
    found = read(judge, described, scenes), read(judge, named, scenes), read(judge, drawings(scenes), scenes)
    demands = gates(*found)
    log.info("%-12s %-12s %9s %9s %9s", "prompt", "", "generated", "gate", "drawn")
    for gate in demands:
        values = f"{gate.generated:9.3f} {gate.wanted:9.2f} {gate.drawn:9.3f}"
        log.info("%-12s %-12s %s%s", gate.prompts, gate.name, values, "" if gate.open else "   missed")
    missed = [gate for gate in demands if not gate.open]
    log.info("%d of %d gates hold.", len(demands) - len(missed), len(demands))
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
