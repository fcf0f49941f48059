"""One run of DTI Train, from its inputs to what is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from ..dti_core.methods import DTI, METHODS, Options
from ..dti_core.training import TrainingConfig, start_method, train
from ..dti_core.training.captions import beside_class_word
from ..dti_core.training.crops import Crop
from ..dti_core.training.image_marks import image_notes
from ..dti_core.training.repeats import drawn_by, with_repeats
from ..dti_core.training.start import angle_origin
from ..dti_core.training.state_folder import check_resumable
from ..dti_core.training.validation import Validation, check_validation, split
from .captions import captions_by_picture, prompts_of
from .held_out_notes import held_out_notes, held_out_numbers
from .host.embeddings.saved_result import SavedResult, save_result
from .host.embeddings.saving import free_name
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.training.checks import check_concept
from .host.training.family import resolution_notes, training_resolution
from .host.training.held_out import HeldOutLoss
from .host.training.kept_state import kept_state, states_folder
from .host.training.memory import plan_memory
from .host.training.notes import training_notes
from .host.training.previews import Previews
from .host.training.run_metadata import run_metadata, start_notes, text_notes
from .host.training.run_report import RunReport
from .host.training.run_watch import RunWatch
from .host.training.session import training_session
from .host.training.text_encoder import check_fits
from .host.training.trainable import check_trainable
from .host.training.trained_encoders import encoder_notes, hold_others, trained_encoders
from .host.training.vae import encode_images
from .run_picture.history import RunHistory
from .train_inputs import TEMPLATES
from .train_options import SCHEDULES


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
class PlannedRun:
    """A run of which all is in order that can be known before a model is loaded.

    name: under which the result is to be saved. typed, captions: what may be said of each image, as it was typed and as
    it is trained with. prompts: of the previews. crop, shares: what is shown of the images, and how often of each.
    encoders: those that train.
    """

    config: TrainingConfig
    name: str
    typed: Sequence[Sequence[str]]
    captions: Sequence[tuple[str, ...]]
    prompts: Sequence[str]
    crop: Crop
    shares: Sequence[int]
    encoders: Sequence[str]


def planned_run(
    one: Mapping[str, Any], n_pictures: int, captions: Sequence[str], repeats: Sequence[int] = ()
) -> PlannedRun:
    """Raises ValueError for what cannot be trained with; arguments as those of `run_training`."""
    config = config_of(one)
    check_trainable(one["model"], one["clip"])
    check_validation(one["held_out"], one["validate_every"], one["patience"])
    crop = Crop(training_resolution(one["model"], one["resolution"]), one["crop"], one["random_crop"])
    shares = drawn_by(repeats, n_pictures)
    if one["templates"] not in TEMPLATES:
        raise ValueError(f"templates is {one['templates']!r}; choose {' or '.join(TEMPLATES)}.")
    encoders = trained_encoders(one["clip"], one["encoders"])
    check_concept(one["clip"], config.initializer, config.n_vectors, encoders)
    if one["start_from"] is not None:
        check_fits(one["clip"], one["start_from"], encoders)
    typed = captions_by_picture(captions, TEMPLATES[one["templates"]], n_pictures)
    prompts = prompts_of(one["preview_prompts"], TEMPLATES[one["templates"]])
    by_image = [beside_class_word(texts, config.initializer) if one["class_word"] else texts for texts in typed]
    if one["class_word"]:
        prompts = beside_class_word(prompts, config.initializer)
    name = free_name(one["name"], one["if_exists"])
    check_resumable(states_folder(one["name"]), one["resume"])
    return PlannedRun(config, name, typed, by_image, prompts, crop, shares, encoders)


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
    """Train and save.

    one: the inputs that have one value. pictures: `[H, W, 3]` in [0, 1]. captions: as they are typed, a text for
    each image or one for all. masks: `[H, W]` for each image, or none. repeats: how often each image is drawn beside
    the others, or none. node_id: where texts are shown, below `heading`. mark: goes into the header of the result.

    Raises ValueError for what cannot be trained with, before the first step, and the host's interrupt at Stop.
    """
    planned = planned_run(one, len(pictures), captions, repeats)
    config, by_image, crop, shares = planned.config, planned.captions, planned.crop, planned.shares
    one = {**one, "resolution": crop.resolution}
    n_texts = len({caption for several in by_image for caption in several}) + bool(config.options.caption_dropout)
    overwrite = one["if_exists"] == "replace"

    memory = plan_memory(
        one["model"],
        one["clip"],
        edge=one["resolution"],
        batch_size=config.batch_size,
        microbatch_size=config.microbatch_size,
        n_captions=min(config.batch_size, n_texts),
        wanted=one["memory_plan"].removeprefix("auto"),
    )
    config = replace(config, microbatch_size=memory.plan.microbatch_size)
    show_on_node(f"{heading}resolution {crop.resolution}; {memory}", node_id)

    numbers = held_out_numbers(len(pictures), one["held_out"])
    known = [*resolution_notes(one["model"], crop.resolution), *held_out_notes(len(pictures), one["held_out"])]
    if max(shares) > 1:
        known.append(f"Images are drawn by their repeats, in their order: {', '.join(map(str, shares))}.")
    notes = training_notes(one["clip"], pictures, by_image, crop, node_id, masks, known)
    weight = one["background_weight"]
    asked = (one["mirror"], crop.shape, crop.room)
    data = encode_images(one["vae"], pictures, crop.resolution, by_image, masks, weight, *asked)
    data = with_repeats(data, shares)
    trained, held_out = split(data, len(pictures), len(numbers))
    states = None
    if config.method == "CrossInit" and one["start_from"] is None:
        states = EncoderProbe(one["clip"]).last_hidden_states(config.initializer, planned.encoders)
    with training_session(one["model"], one["clip"], memory) as (text_encoder, denoiser):
        denoiser.check_latents(data[0])
        denoiser.check_sampling(data[0], text_encoder)
        hold_others(text_encoder, planned.encoders, config.initializer, one["start_from"])
        texts = {**text_notes(planned.typed, TEMPLATES), **_data_notes(one, planned, bool(masks), numbers)}
        metadata = run_metadata(planned.name, config, text_encoder, denoiser, one["resolution"], texts)
        metadata |= start_notes(one["start_from"], one["prior"]) | encoder_notes(text_encoder) | dict(mark or {})
        metadata |= image_notes(pictures, numbers)
        start = start_method(config, text_encoder, states, one["start_from"], one["prior"])
        kept = kept_state(one, config, data, pictures, text_encoder.vocabularies)
        measured = HeldOutLoss(text_encoder, denoiser.patcher, held_out, config.options)
        validation = Validation(measured, one["validate_every"], one["patience"]) if held_out else None
        shape = (crop.resolution, data[0].pixels_per_latent)
        previews = Previews(text_encoder, denoiser, *shape, planned.prompts, one["preview_every"], memory)
        origin = angle_origin(config, one["start_from"], one["prior"])
        history = RunHistory(config.steps, config.batch_size, origin, validation)
        watch = RunWatch(history, previews)
        shown = (memory, watch, kept.hint, heading, validation, text_encoder.with_held)
        report = RunReport(planned.name, metadata, node_id, config.steps, one["save_every"], overwrite, *shown)
        report.losses += kept.losses
        if kept.resumed is not None:
            kept.resumed.put_into(start)
            history.go_on_from(kept.resumed)
        with report.keeping(), kept.keeping():
            report.begin(start.result(), len(kept.losses))
            on_step = kept.before(report)
            vectors = train(
                text_encoder, denoiser, trained, config, on_step, memory.step_down, start, kept.resumed, validation
            )
            result = report.finish(vectors)
    saved = save_result(one["clip"], result, overwrite)
    picture = watch.picture(one["vae"])
    # Only now: what is killed before would train all of it again.
    if saved.path is not None:
        kept.finish()
    if one["class_word"]:
        prompt = f"embedding:{saved.embedding.name} {config.initializer}"
        notes.append(f"Trained with the class word behind it: write {prompt!r} into prompts.")
    if validation is not None:
        notes += measured.notes()
    notes = [*kept.notes(), *report.notes(), *notes, *filter(None, [watch.note])]
    return FinishedRun(saved, report.losses, notes, picture)


def _data_notes(one: Mapping[str, Any], planned: PlannedRun, masked: bool, held_out: Sequence[int]) -> dict[str, str]:
    """Header entries: what was made of the images and captions. held_out: numbers of images."""
    notes = {f"dti.{key}": value for key, value in planned.crop.in_use().items()}
    if one["class_word"]:
        notes["dti.class_word"] = planned.config.initializer
    if masked:
        notes["dti.background_weight"] = str(one["background_weight"])
    if one["mirror"]:
        notes["dti.mirror"] = "True"
    if held_out:
        notes["dti.held_out"] = ", ".join(f"image {number}" for number in held_out)
    if max(planned.shares) > 1:
        notes["dti.repeats"] = " ".join(map(str, planned.shares))
    return notes


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
