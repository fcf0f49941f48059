"""Vectors to numbers: pictures of many prompts, and what the judge says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from small_world.drawing import draw
from small_world.judge import Judge, truth
from small_world.sample import Sampling
from small_world.subjects import Style, Subject, pictures_of
from torch import Tensor

from .calibration import Trust
from .plan import Examination
from .prompts import LEVELS, Prompt, description, prompts_for
from .settings import Settings, Use
from .style_prompts import LOOK, style_description, style_prompts
from .world import Pictures, World


def evaluation_prompts(concept: Subject | Style, examination: Examination) -> list[Prompt]:
    """All prompts, or the first of each level."""
    each = examination.prompts_per_level
    prompts = prompts_for(concept.thing) if isinstance(concept, Subject) else style_prompts(concept)
    if not each:
        return list(prompts)
    return [p for level in range(len(LEVELS)) for p in [q for q in prompts if q.level == level][:each]]


def paint(
    world: World,
    concept: Subject | Style,
    settings: Settings,
    vectors: Mapping[str, Tensor],
    examination: Examination,
) -> tuple[list[Prompt], Pictures]:
    """The prompts, and a picture of each."""
    prompts = evaluation_prompts(concept, examination)
    texts, seed = [prompt.text for prompt in prompts], examination.sampling_seed
    how = Sampling(steps=examination.steps, guidance=examination.guidance)
    if settings.method == "drawn":
        return prompts, np.stack([draw(replace(prompt.scene, seed=seed)) for prompt in prompts])
    if settings.method == "class_word":
        return prompts, world.paint_word(texts, concept.word, [seed], how)
    if settings.method == "described":
        said = description(concept.thing) if isinstance(concept, Subject) else style_description(concept)
        return prompts, world.paint_word(texts, said, [seed], how)
    return prompts, world.paint_vectors(texts, vectors, [seed], how)


def score(
    judge: Judge, trust: Trust, concept: Subject | Style, prompts: Sequence[Prompt], pictures: Pictures
) -> dict[str, Any]:
    """What is kept of a run.

    text: per picture, the share of what its prompt asks for that holds, of the attributes that the judge is trusted
    with; None for a prompt that names no such attribute. image: per picture, of a subject the mean cosine with its
    references in the judge's embedding of things, of a style the share of its looks that hold. level: of each
    picture's prompt. held: by attribute, how often it held and how often it was asked for, trusted or not.
    """
    trusted = trust.subjects if isinstance(concept, Subject) else trust.styles
    text: list[float | None] = []
    held: dict[str, list[int]] = {}
    seen = judge.read(pictures)
    for prompt, row in zip(prompts, seen, strict=True):
        hits = {name: row[name] == value for name, value in prompt.wanted.items()}
        for name, hit in hits.items():
            count = held.setdefault(name, [0, 0])
            count[0] += hit
            count[1] += 1
        judged = [hit for name, hit in hits.items() if name in trusted]
        text.append(sum(judged) / len(judged) if judged else None)
    if isinstance(concept, Subject):
        image = [round(float(value), 5) for value in judge.likeness(pictures, pictures_of(concept))]
    else:
        looks = [name for name in LOOK if name in trusted] or list(LOOK)
        wanted = truth(prompts[0].scene)
        image = [sum(row[name] == wanted[name] for name in looks) / len(looks) for row in seen]
    return {"text": text, "image": image, "level": [prompt.level for prompt in prompts], "held": held}


def used_vectors(
    by_step: Mapping[int, Mapping[str, Tensor]], use: Use, lengths: Mapping[str, float]
) -> dict[str, Tensor]:
    """The vectors of a step at the length that they are used with; `lengths` are the vocabulary's means."""
    vectors = dict(by_step.get(use.step, {}))
    if not use.length:
        return vectors
    return {
        key: rows / rows.norm(dim=-1, keepdim=True) * (use.length * lengths[key]) for key, rows in vectors.items()
    }

