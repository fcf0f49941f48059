"""Which attributes the judge may judge here: those that it reads right in drawings of what the prompts ask for.

The judge brings accuracies of its own, over drawings as they come. Prompts ask for what is rare there (a neon
picture, a companion), and a judge that never says "neon" is right about nearly all drawings.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from small_world.drawing import draw
from small_world.files import write_whole
from small_world.judge import TRUST, Judge, holds, truth
from small_world.scenes import random_thing
from small_world.subjects import STYLES, Subject

from .prompts import Prompt, prompts_for
from .style_prompts import LOOK, style_prompts

log = logging.getLogger(__name__)
THINGS = 8
SEED = 77
Recalls = dict[str, float]


@dataclass(frozen=True)
class Trust:
    """The attributes that are judged in pictures of subjects, and in those of styles, where looks are the image."""

    subjects: frozenset[str]
    styles: frozenset[str]


def recalls(judge: Judge) -> dict[str, Recalls]:
    """By attribute, the share of drawings of what prompts ask for in which the judge reads the right value."""
    return {"subjects": _recall(judge, _of_things()), "styles": _recall(judge, _of_styles())}


def trusted(judge: Judge, file: Path) -> Trust:
    """Attributes that pass the judge's own test and this one; `file` remembers the latter."""
    if not file.is_file():
        found = recalls(judge)
        write_whole(file, lambda partial: partial.write_text(json.dumps(found), encoding="utf-8"))
    measured = json.loads(file.read_text(encoding="utf-8"))
    return Trust(_kept(judge, measured["subjects"]), _kept(judge, measured["styles"]))


def _kept(judge: Judge, measured: Recalls) -> frozenset[str]:
    kept = frozenset(name for name, share in measured.items() if share >= TRUST and name in judge.trusted)
    if not kept - {*LOOK}:
        # An untrained judge: the numbers mean nothing, but everything can be tried.
        log.warning("The judge can be trusted with nothing; every attribute counts.")
        return frozenset(measured)
    return kept


def _of_things() -> Iterator[Prompt]:
    rng = np.random.default_rng(SEED)
    for _ in range(THINGS):
        thing = random_thing(rng)
        yield from prompts_for(Subject("drawn", thing, thing.shape, chooses=True))


def _of_styles() -> Iterator[Prompt]:
    for style in STYLES:
        for prompt in style_prompts(style):
            seen = truth(prompt.scene)
            yield replace(prompt, wanted={**prompt.wanted, **{name: seen[name] for name in LOOK}})


def _recall(judge: Judge, prompts: Iterator[Prompt]) -> Recalls:
    right: dict[str, list[bool]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        (row,) = judge.read(draw(replace(prompt.scene, seed=SEED + number))[None])
        for name, value in prompt.wanted.items():
            right[name].append(holds(row, name, value))
    return {name: float(np.mean(hits)) for name, hits in sorted(right.items())}
