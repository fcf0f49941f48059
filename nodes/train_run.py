"""One run of DTI Train, from its inputs to what is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.methods import DTI, METHODS, Options
from ..dti_core.training import TrainingConfig, start_method, train
from ..dti_core.training.captions import beside_class_word
from ..dti_core.training.start import angle_origin
from ..dti_core.training.state_folder import check_resumable
from .captions import captions_by_picture, prompts_of
from .host.embeddings.saved_result import SavedResult, save_result
from .host.embeddings.saving import free_name
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.training.checks import check_concept
from .host.training.family import resolution_notes, training_resolution
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


@dataclass(frozen=True)
class FinishedRun:
    """What a run has left. losses: of all its steps. notes: what is to be said of it. watch: has its picture."""

    saved: SavedResult
    losses: Sequence[float]
    notes: Sequence[str]
    watch: RunWatch


def run_training(
    one: Mapping[str, Any],
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    masks: Sequence[Tensor],
    node_id: str,
) -> FinishedRun:
    """Train and save.

    one: the inputs that have one value. pictures: `[H, W, 3]` in [0, 1]. captions: as they are typed, a text for
    each image or one for all. masks: `[H, W]` for each image, or none. node_id: where texts are shown.

    Raises ValueError for what cannot be trained with, before the first step, and the host's interrupt at Stop.
    """
    config = config_of(one)
    check_trainable(one["model"], one["clip"])
    one = {**one, "resolution": training_resolution(one["model"], one["resolution"])}
    if one["templates"] not in TEMPLATES:
        raise ValueError(f"templates is {one['templates']!r}; choose {' or '.join(TEMPLATES)}.")
    trained = trained_encoders(one["clip"], one["encoders"])
    check_concept(one["clip"], config.initializer, config.n_vectors, trained)
    if one["start_from"] is not None:
        check_fits(one["clip"], one["start_from"], trained)
    typed = captions_by_picture(captions, TEMPLATES[one["templates"]], len(pictures))
    prompts = prompts_of(one["preview_prompts"], TEMPLATES[one["templates"]])
    by_image = [beside_class_word(texts, config.initializer) if one["class_word"] else texts for texts in typed]
    if one["class_word"]:
        prompts = beside_class_word(prompts, config.initializer)
    n_texts = len({caption for several in by_image for caption in several}) + bool(config.options.caption_dropout)
    name = free_name(one["name"], one["if_exists"])
    overwrite = one["if_exists"] == "replace"
    check_resumable(states_folder(one["name"]), one["resume"])

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
    show_on_node(f"resolution {one['resolution']}; {memory}", node_id)

    weight = one["background_weight"]
    data = encode_images(one["vae"], pictures, one["resolution"], by_image, masks, weight, one["mirror"])
    about_model = resolution_notes(one["model"], one["resolution"])
    notes = training_notes(one["clip"], pictures, by_image, one["resolution"], node_id, masks, about_model)
    states = None
    if config.method == "CrossInit" and one["start_from"] is None:
        states = EncoderProbe(one["clip"]).last_hidden_states(config.initializer, trained)
    with training_session(one["model"], one["clip"], memory) as (text_encoder, denoiser):
        denoiser.check_latents(data[0])
        denoiser.check_sampling(data[0], text_encoder)
        hold_others(text_encoder, trained, config.initializer, one["start_from"])
        texts = text_notes(typed, TEMPLATES)
        if one["class_word"]:
            texts["dti.class_word"] = config.initializer
        if masks:
            texts["dti.background_weight"] = str(weight)
        if one["mirror"]:
            texts["dti.mirror"] = "True"
        metadata = run_metadata(name, config, text_encoder, denoiser, one["resolution"], texts)
        metadata |= start_notes(one["start_from"], one["prior"]) | encoder_notes(text_encoder)
        start = start_method(config, text_encoder, states, one["start_from"], one["prior"])
        kept = kept_state(one, config, data, pictures, text_encoder.vocabularies)
        previews = Previews(text_encoder, denoiser, data[0], prompts, one["preview_every"], memory)
        history = RunHistory(config.steps, config.batch_size, angle_origin(config, one["start_from"], one["prior"]))
        watch = RunWatch(history, previews)
        report = RunReport(
            name,
            metadata,
            node_id,
            config.steps,
            one["save_every"],
            overwrite,
            memory,
            watch,
            kept.hint,
            text_encoder.with_held,
        )
        report.losses += kept.losses
        if kept.resumed is not None:
            kept.resumed.put_into(start)
        with report.keeping(), kept.keeping():
            report.begin(start.result(), len(kept.losses))
            on_step = kept.before(report)
            vectors = train(text_encoder, denoiser, data, config, on_step, memory.step_down, start, kept.resumed)
            report.finish(vectors)
        vectors = text_encoder.with_held(vectors)
    saved = save_result(one["clip"], ConceptEmbedding(name, vectors, metadata), overwrite)
    if saved.path is not None:
        kept.finish()
    if one["class_word"]:
        prompt = f"embedding:{saved.embedding.name} {config.initializer}"
        notes.append(f"Trained with the class word behind it: write {prompt!r} into prompts.")
    return FinishedRun(saved, report.losses, [*kept.notes(), *report.left_out(), *notes], watch)


def config_of(inputs: Mapping[str, Any]) -> TrainingConfig:
    """The recipe; the learning rate in the method's own terms, so that DTI's stands for that of every method."""
    recipe, options = (
        {field.name: inputs[field.name] for field in fields(kind) if field.name in inputs}
        for kind in (TrainingConfig, Options)
    )
    config = TrainingConfig(**recipe, options=Options(**options))
    ratio = METHODS[config.method].learning_rate / DTI.learning_rate
    return replace(config, learning_rate=config.rate * ratio)
