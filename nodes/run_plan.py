"""What can be known of a run before a model is loaded: whether all is in order, and what it will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..dti_core.methods import DTI, METHODS, Options
from ..dti_core.training import TrainingConfig
from ..dti_core.training.captions import beside_class_word
from ..dti_core.training.crops import Crop
from ..dti_core.training.repeats import drawn_by
from ..dti_core.training.state_folder import check_resumable
from ..dti_core.training.validation import check_validation
from .captions import captions_by_picture, prompts_of
from .host.embeddings.saving import free_name
from .host.training.checks import check_concept
from .host.training.family import training_resolution
from .host.training.kept_state import states_folder
from .host.training.text_encoder import check_fits
from .host.training.trainable import check_trainable
from .host.training.trained_encoders import trained_encoders
from .train_inputs import TEMPLATES
from .train_options import SCHEDULES


@dataclass(frozen=True)
class PlannedConcept:
    """One of the concepts of a run.

    name: under which the result is to be saved. called: in captions, "" for the only one.
    typed, captions: what may be said of each image, as it was typed and as it is trained with.
    shares: how often each image is drawn beside the others.
    """

    name: str
    called: str
    initializer: str
    typed: Sequence[Sequence[str]]
    captions: Sequence[tuple[str, ...]]
    shares: Sequence[int]

    @property
    def label(self) -> str:
        """Stands before what is said of it."""
        return f"{self.called}: " if self.called else ""


@dataclass(frozen=True)
class PlannedRun:
    """A run of which all is in order.

    states: the name under which its state is kept. prompts: of the previews. crop: what is shown of the images.
    encoders: those that train. known_by: what a state has to agree with beside settings, images and models.
    """

    config: TrainingConfig
    concepts: Sequence[PlannedConcept]
    states: str
    prompts: Sequence[str]
    crop: Crop
    encoders: Sequence[str]
    known_by: Mapping[str, str]


def planned_run(
    one: Mapping[str, Any], n_pictures: int, captions: Sequence[str], repeats: Sequence[int] = ()
) -> PlannedRun:
    """Of DTI Train. Raises ValueError for what cannot be trained with; arguments as those of `run_training`."""
    config = config_of(one)
    crop, encoders = checked_settings(one)
    shares = drawn_by(repeats, n_pictures)
    templates = templates_of(one["templates"])
    check_concept(one["clip"], config.initializer, config.n_vectors, encoders)
    if one["start_from"] is not None:
        check_fits(one["clip"], one["start_from"], encoders)
    typed = captions_by_picture(captions, templates, n_pictures)
    prompts = prompts_of(one["preview_prompts"], templates)
    by_image = [beside_class_word(texts, config.initializer) if one["class_word"] else texts for texts in typed]
    if one["class_word"]:
        prompts = beside_class_word(prompts, config.initializer)
    name = free_name(one["name"], one["if_exists"])
    check_resumable(states_folder(one["name"]), one["resume"])
    concept = PlannedConcept(name, "", config.initializer, typed, by_image, shares)
    return PlannedRun(config, [concept], one["name"], prompts, crop, encoders, {})


def checked_settings(one: Mapping[str, Any]) -> tuple[Crop, list[str]]:
    """What all concepts of a run share: the crop, and the encoders that train. Raises ValueError."""
    check_trainable(one["model"], one["clip"])
    check_validation(one["held_out"], one["validate_every"], one["patience"])
    crop = Crop(training_resolution(one["model"], one["resolution"]), one["crop"], one["random_crop"])
    return crop, trained_encoders(one["clip"], one["encoders"])


def templates_of(name: str) -> Sequence[str]:
    """Raises ValueError for a name that there is not."""
    if name not in TEMPLATES:
        raise ValueError(f"templates is {name!r}; choose {' or '.join(TEMPLATES)}.")
    return TEMPLATES[name]


def config_of(inputs: Mapping[str, Any]) -> TrainingConfig:
    """The recipe; the learning rate in the method's own terms, so that DTI's stands for that of every method."""
    recipe, options = (
        {field.name: inputs[field.name] for field in fields(kind) if field.name in inputs}
        for kind in (TrainingConfig, Options)
    )
    schedule = SCHEDULES[inputs.get("schedule", "constant")]
    config = TrainingConfig(**recipe, options=Options(**options, **schedule))
    ratio = METHODS[config.method].learning_rate / DTI.learning_rate
    return replace(config, learning_rate=config.rate * ratio)
