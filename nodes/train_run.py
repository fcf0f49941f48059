"""A run of training, from what is planned to what is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ..dti_core.training import train
from ..dti_core.training.data import TrainingImage
from ..dti_core.training.pool import drawn_evenly
from ..dti_core.training.repeats import with_repeats
from ..dti_core.training.start import angle_origin
from ..dti_core.training.validation import Validation, n_held_out, split
from .concept_images.concept import Images
from .host.embeddings.saved_result import SavedResult, save_result
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.training.concept_files import ConceptFiles
from .host.training.denoiser import HostDenoiser
from .host.training.held_out import HeldOutLoss
from .host.training.kept_state import kept_state
from .host.training.memory import TrainingMemory, plan_memory
from .host.training.notes import training_notes
from .host.training.previews import Previews
from .host.training.run_metadata import run_metadata
from .host.training.run_report import RunReport
from .host.training.run_watch import RunWatch
from .host.training.session import training_session
from .host.training.text_encoder import HostTextEncoder
from .host.training.trained_encoders import encoder_notes
from .host.training.vae import encode_images
from .run_notes import header_notes, notes_before
from .run_picture.history import RunHistory
from .run_plan import PlannedConcept, PlannedRun, planned_run
from .run_start import Started, States, start_alone


@dataclass(frozen=True)
class FinishedRun:
    """What a run has left. losses: of all its steps. notes: what is to be said of it. picture: `[1, H, W, 3]`."""

    saved: SavedResult
    losses: Sequence[float]
    notes: Sequence[str]
    picture: Tensor

    @property
    def message(self) -> str:
        """What is to be said at the end."""
        return "\n".join([self.saved.message, *self.notes])


@dataclass(frozen=True)
class SharedRun:
    """As `FinishedRun`, of one concept or several. saved: of each, in order."""

    saved: Sequence[SavedResult]
    losses: Sequence[float]
    notes: Sequence[str]
    picture: Tensor


def run_training(
    one: Mapping[str, Any],
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    masks: Sequence[Tensor],
    node_id: str,
    repeats: Sequence[int] = (),
    heading: str = "",
    mark: Mapping[str, str] | None = None,
) -> FinishedRun:
    """Train a concept and save it.

    one: the inputs that have one value. pictures: `[H, W, 3]` in [0, 1]. captions: as they are typed, a text for
    each image or one for all. masks: `[H, W]` for each image, or none. repeats: how often each image is drawn beside
    the others, or none. node_id: where texts are shown, below `heading`. mark: goes into the header of the result.

    Raises ValueError for what cannot be trained with, before the first step, and the host's interrupt at Stop.
    """
    planned = planned_run(one, len(pictures), captions, repeats)
    run = train_planned(one, planned, [(pictures, masks)], start_alone, node_id, heading, mark)
    (saved,) = run.saved
    return FinishedRun(saved, run.losses, run.notes, run.picture)


def train_planned(
    one: Mapping[str, Any],
    planned: PlannedRun,
    images: Sequence[Images],
    start: Callable[..., Started],
    node_id: str,
    heading: str = "",
    mark: Mapping[str, str] | None = None,
) -> SharedRun:
    """Train what is planned, and save it.

    one: the settings, which have one value. images: of each concept. start: of `run_start`. Else as `run_training`.
    """
    memory = _planned_memory(one, planned)
    planned = replace(planned, config=replace(planned.config, microbatch_size=memory.plan.microbatch_size))
    config, concepts, crop = planned.config, planned.concepts, planned.crop
    one = {**one, "resolution": crop.resolution, "name": planned.states}
    show_on_node(f"{heading}resolution {crop.resolution}; {memory}", node_id)
    captions = [texts for concept in concepts for texts in concept.captions]
    notes = training_notes(one["clip"], captions, node_id, notes_before(one, planned, images))
    masked = any(masks for _, masks in images)
    data = [
        _encoded(one, crop.shape, concept, pictures, masks or _whole(pictures, masked))
        for concept, (pictures, masks) in zip(concepts, images, strict=True)
    ]
    pool, held_out = _split(one, data, images)
    states = _initializer_states(one, planned)
    with training_session(one["model"], one["clip"], memory) as (text_encoder, denoiser):
        denoiser.check_latents(pool[0])
        denoiser.check_sampling(pool[0], text_encoder)
        started = start(one, planned, text_encoder, pool, states)
        pictures = [shown for shown, _ in images]
        kept = kept_state(one, config, data, pictures, text_encoder.vocabularies, planned.known_by)
        measured = {
            concept.called: HeldOutLoss(text_encoder, denoiser.patcher, _read(own, started), config.options)
            for concept, own in zip(concepts, held_out, strict=True)
            if own
        }
        # What has nothing to be patient about is trained to the end.
        patience = one["patience"] if all(held_out) else 0
        validations = {name: Validation(loss, one["validate_every"], patience) for name, loss in measured.items()}
        validation = started.validation(validations) if validations else None
        header = partial(_header, one, planned, text_encoder, denoiser, mark or {})
        files = [
            ConceptFiles(
                concept.name, header(concept, shown, bool(masks)), one["if_exists"] == "replace", whole,
                validations.get(concept.called), rows, concept.label,
            )
            for concept, (shown, masks), rows, whole in zip(concepts, images, started.rows, started.whole, strict=True)
        ]  # fmt: skip
        previews = Previews(
            text_encoder,
            denoiser,
            crop.resolution,
            pool[0].pixels_per_latent,
            planned.prompts,
            one["preview_every"],
            memory,
            started.read(planned.prompts),
        )
        origin = angle_origin(config, one["start_from"], one["prior"])
        history = RunHistory(config.steps, config.batch_size, origin, validations)
        watch = RunWatch(history, previews)
        report = RunReport(files, node_id, config.steps, one["save_every"], memory, watch, kept.hint, heading)
        report.losses += kept.losses
        if kept.resumed is not None:
            kept.resumed.put_into(started.method)
            history.go_on_from(kept.resumed)
        if kept.resumed is not None and validation is not None:
            validation.go_on_from(kept.resumed.validation)
        with report.keeping(), kept.keeping():
            report.begin(started.method.result(), len(kept.losses))
            on_step, method = kept.before(report), started.method
            trained = _read(pool, started)
            vectors = train(
                text_encoder, denoiser, trained, config, on_step, memory.step_down, method, kept.resumed, validation
            )
            results = report.finish(vectors)
    saved = [save_result(one["clip"], result, one["if_exists"] == "replace") for result in results]
    picture = watch.picture(one["vae"])
    # Only now: what is killed before would train all of it again.
    if all(result.path is not None for result in saved):
        kept.finish()
    for concept, result in zip(concepts, saved, strict=True):
        if one["class_word"]:
            prompt = f"embedding:{result.embedding.name} {concept.initializer}"
            notes.append(f"Trained with the class word behind it: write {prompt!r} into prompts.")
        if concept.called in measured:
            notes += [f"{concept.label}{note}" for note in measured[concept.called].notes()]
    notes = [*kept.notes(), *report.notes(), *notes, *filter(None, [watch.note])]
    return SharedRun(saved, report.losses, notes, picture)


def _planned_memory(one: Mapping[str, Any], planned: PlannedRun) -> TrainingMemory:
    config = planned.config
    captions = {caption for concept in planned.concepts for texts in concept.captions for caption in texts}
    dropped = ["{}"] * len(planned.concepts) if config.options.caption_dropout else []
    return plan_memory(
        one["model"],
        one["clip"],
        edge=planned.crop.resolution,
        batch_size=config.batch_size,
        microbatch_size=config.microbatch_size,
        captions=[*captions, *dropped],
        wanted=one["memory_plan"].removeprefix("auto"),
        trained=planned.encoders,
    )


def _encoded(
    one: Mapping[str, Any], shape: str, concept: PlannedConcept, pictures: Sequence[Tensor], masks: Sequence[Tensor]
) -> list[TrainingImage]:
    asked = (masks, one["background_weight"], one["mirror"], shape, one["random_crop"])
    data = encode_images(one["vae"], pictures, one["resolution"], concept.captions, *asked)
    return with_repeats(data, concept.shares)


def _whole(pictures: Sequence[Tensor], masked: bool) -> list[Tensor]:
    """Masks of a concept that has none, beside others that have: all of each image."""
    return [torch.ones(picture.shape[:2]) for picture in pictures] if masked else []


def _split(
    one: Mapping[str, Any], data: Sequence[Sequence[TrainingImage]], images: Sequence[Images]
) -> tuple[list[TrainingImage], list[list[TrainingImage]]]:
    """The images that are trained on, and those of each concept that are held out."""
    sizes = [len(pictures) for pictures, _ in images]
    parts = [split(own, size, n_held_out(size, one["held_out"])) for own, size in zip(data, sizes, strict=True)]
    return list(chain(*drawn_evenly([trained for trained, _ in parts]))), [held_out for _, held_out in parts]


def _header(
    one: Mapping[str, Any],
    planned: PlannedRun,
    text_encoder: HostTextEncoder,
    denoiser: HostDenoiser,
    mark: Mapping[str, str],
    concept: PlannedConcept,
    pictures: Sequence[Tensor],
    masked: bool,
) -> dict[str, str]:
    """Of the file of one concept. pictures: its own. masked: whether it has masks."""
    config = replace(planned.config, initializer=concept.initializer)
    notes = {**header_notes(one, planned, concept, pictures, masked), **encoder_notes(text_encoder), **mark}
    return run_metadata(concept.name, config, text_encoder, denoiser, planned.crop.resolution, notes)


def _read(images: Sequence[TrainingImage], started: Started) -> list[TrainingImage]:
    """With captions as the text encoder takes them."""
    return [replace(image, captions=started.read(image.captions)) for image in images]


def _initializer_states(one: Mapping[str, Any], planned: PlannedRun) -> States:
    """What the text encoders make of each initializer, where the method starts there."""
    if planned.config.method != "CrossInit" or one["start_from"] is not None:
        return [None] * len(planned.concepts)
    probe = EncoderProbe(one["clip"])
    return [probe.last_hidden_states(concept.initializer, planned.encoders) for concept in planned.concepts]
