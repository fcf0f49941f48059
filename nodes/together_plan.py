"""What can be known of a run of several concepts before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

from ..dti_core.training.captions import beside_class_word, with_names
from ..dti_core.training.fingerprints import digest
from ..dti_core.training.repeats import drawn_by
from ..dti_core.training.start import PRIORS
from ..dti_core.training.state_folder import check_resumable
from .captions import captions_by_picture, prompts_of_several
from .concept_images.concept import Concept
from .host.embeddings.saving import free_name
from .host.training.checks import check_concept
from .host.training.kept_state import states_folder
from .run_plan import PlannedConcept, PlannedRun, checked_settings, config_of, templates_of

# What DTI Train takes of one concept and no concept of several brings.
WITHOUT = {"start_from": None, "prior": PRIORS[0]}


def planned_together(settings: Mapping[str, Any], concepts: Sequence[Concept]) -> PlannedRun:
    """Of concepts that are trained in one run: each step is one of each of them, on a batch of each.

    settings: what DTI Train takes, without what a concept brings.

    Raises ValueError, with what is wrong with each concept, as none is trained without the others.
    """
    _check_names([concept.name for concept in concepts])
    words = {concept.name: concept.initializer for concept in concepts}
    config = config_of({**settings, "initializer": ", ".join(words.values())})
    config = replace(config, batch_size=config.batch_size * len(concepts))
    crop, encoders = checked_settings(settings)
    planned, problems = [], []
    for concept in concepts:
        try:
            if concept.problem:
                raise ValueError(concept.problem)
            check_concept(settings["clip"], concept.initializer, config.n_vectors, encoders)
            planned.append(_planned(settings, concept, words))
        except (OSError, ValueError) as error:
            problems.append(f"{concept.name}: {error}")
    if problems:
        raise ValueError("\n".join(["Nothing is trained, as all concepts of a run are needed.", *problems]))
    _check_files([concept.name for concept in planned])
    templates = {concept.name: templates_of(concept.templates) for concept in concepts}
    prompts = _beside_class_words(settings, prompts_of_several(settings["preview_prompts"], templates), words)
    states = _states(list(words))
    check_resumable(states_folder(states), settings["resume"])
    return PlannedRun(config, planned, states, prompts, crop, encoders, {"concepts": ", ".join(words)})


def _planned(settings: Mapping[str, Any], concept: Concept, words: Mapping[str, str]) -> PlannedConcept:
    named = partial(with_names, own=concept.name, names=words)
    typed = captions_by_picture(concept.captions, templates_of(concept.templates), concept.n_images, named)
    captions = [_beside_class_words(settings, named(texts), words) for texts in typed]
    shares = drawn_by(concept.repeats, concept.n_images)
    name = free_name(concept.name, settings["if_exists"])
    return PlannedConcept(name, concept.name, concept.initializer, typed, captions, shares)


def _beside_class_words(
    settings: Mapping[str, Any], texts: tuple[str, ...], words: Mapping[str, str]
) -> tuple[str, ...]:
    for name, word in words.items() if settings["class_word"] else ():
        texts = beside_class_word(texts, word, f"{{{name}}}")
    return texts


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("There are no concepts. Connect Load Concept Folders, or Concept nodes in a row.")
    for first, second in combinations(names, 2):
        if first.casefold() == second.casefold():
            raise ValueError(f"Two concepts are called {second!r}. Give each a name of its own.")


def _check_files(names: Sequence[str]) -> None:
    """Raise ValueError where a prompt would find the file of one concept by the name of another."""
    for first, second in combinations([f"/{name}".casefold() for name in names], 2):
        if first.endswith(second) or second.endswith(first):
            raise ValueError(
                f"Two concepts would be saved as {first[1:]!r} and {second[1:]!r}, of which a prompt would find one by "
                "the other's name. Rename one of them."
            )


def _states(names: Sequence[str]) -> str:
    """No embedding can be called so. The same for any order: that it is another one is said."""
    return f"{min(names)}+{digest(sorted(names)).rpartition(':')[2]}"
