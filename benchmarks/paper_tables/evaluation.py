"""Vectors to numbers: pictures of many prompts, and what the judge says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.methods.adjust import adjust_to_word, rescale
from small_world.drawing import draw
from small_world.judge import Judge, holds, truth
from small_world.sample import Sampling
from small_world.subjects import Style, Subject, pictures_of
from torch import Tensor

from .calibration import Trust
from .plan import Examination
from .prompts import COMPANY, LEVELS, Prompt, description, prompts_for
from .settings import Settings, Use
from .style_prompts import LOOK, style_description, style_prompts
from .world import Pictures, World


def evaluation_prompts(concept: Subject | Style, examination: Examination) -> list[Prompt]:
    """All prompts, or the first of each level."""
    each = examination.prompts_per_level
    prompts = prompts_for(concept) if isinstance(concept, Subject) else style_prompts(concept)
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

    text: per image, the share of the prompt's demands that hold, of the attributes that the judge is trusted with;
    None for a prompt that names no such attribute. A companion is one demand (there, once, in its shape and colour),
    and its side another. image: per image, of a subject the mean cosine with its references in the judge's embedding
    of things, of a style the share of its looks that hold. level: of each image's prompt. held: by attribute, how
    often it held and how often it was asked for, trusted or not; "accompanied" is the companion's demand.
    """
    trusted = trust.subjects if isinstance(concept, Subject) else trust.styles
    text: list[float | None] = []
    held: dict[str, list[int]] = {}
    seen = judge.read(pictures)
    for prompt, row in zip(prompts, seen, strict=True):
        hits = {name: holds(row, name, value) for name, value in prompt.wanted.items()}
        demands = demanded({name: hit for name, hit in hits.items() if name in trusted})
        for name, hit in {**hits, **demanded(hits)}.items():
            count = held.setdefault(name, [0, 0])
            count[0] += hit
            count[1] += 1
        text.append(sum(demands.values()) / len(demands) if demands else None)
    if isinstance(concept, Subject):
        image = [round(float(value), 5) for value in judge.likeness(pictures, pictures_of(concept))]
    else:
        looks = [name for name in LOOK if name in trusted] or list(LOOK)
        wanted = truth(prompts[0].scene)
        image = [sum(row[name] == wanted[name] for name in looks) / len(looks) for row in seen]
    return {"text": text, "image": image, "level": [prompt.level for prompt in prompts], "held": held}


def demanded(hits: Mapping[str, bool]) -> dict[str, bool]:
    """What counts once in a prompt: all that is said of a companion itself, and every other attribute."""
    company = [hit for name, hit in hits.items() if name in COMPANY]
    rest = {name: hit for name, hit in hits.items() if name not in COMPANY}
    return {**rest, "accompanied": all(company)} if company else rest


def used_vectors(
    by_step: Mapping[int, Mapping[str, Tensor]], use: Use, lengths: Mapping[str, float], word: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The vectors of a step as they are used; `lengths`: the vocabulary's mean norms, `word`: the class word's rows."""
    vectors = dict(by_step.get(use.step, {}))
    if not vectors:
        return {}
    concept = ConceptEmbedding("concept", vectors)
    if use.length:
        concept = rescale(concept, {key: use.length * lengths[key] for key in vectors}, "concept")
    if use.norm_share or use.turn_share:
        concept = adjust_to_word(concept, word, "concept", use.norm_share, use.turn_share)
    return dict(concept.vectors)


def norms(vectors: Mapping[str, Tensor], lengths: Mapping[str, float]) -> dict[str, float]:
    """Mean norm by encoder, and over the encoders in means of the vocabulary."""
    found = {key: float(rows.norm(dim=-1).mean()) for key, rows in vectors.items()}
    in_means = [norm / lengths[key] for key, norm in found.items()]
    return {**found, "in_means": sum(in_means) / len(in_means)} if found else {}
