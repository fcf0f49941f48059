"""Every method behind one call: pictures and settings to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dti_pack.dti_core.training import StepReport, TrainingConfig, train
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.dti_core.training.initializer import Start, start_from_word
from torch import Tensor

from .evaluation_set import EvaluationSet
from .loop import OnStep, Update, Vectors, descend
from .settings import Settings
from .updates import AdamWUpdate, SphereUpdate

# CrossInit's weight of the distance from its start (Pang et al. 2024), a mean over elements in the reference.
ANCHOR_WEIGHT = 1e-5
LOOK_EVERY = 25  # steps between looks at the evaluation set


def learn(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    images: Sequence[TrainingImage],
    settings: Settings,
    seed: int,
    on_step: OnStep = lambda report: None,
    *,
    word: str,
    words: Sequence[str] = (),
    contextual: Mapping[str, Tensor] | None = None,
) -> Vectors:
    """Learn a concept; batches depend on the seed alone, so all methods see the same.

    Args:
        text_encoder, denoiser: the host's model inside a training session.
        settings: a method that trains.
        on_step: called after every step.
        word: the initializer.
        words: what `settings.best_word` chooses from.
        contextual: what the text encoder makes of the word, `[n_vectors, dim]` by encoder key (CrossInit's start).

    Returns:
        Vectors by encoder key, `[n_vectors, dim]` float32 on the CPU.
    """
    if not settings.trains:
        raise ValueError(f"{settings.method!r} is not trained.")
    if settings.best_word:
        word = EvaluationSet(text_encoder, denoiser, images).best_word(words)
    if settings.is_the_products:
        return train(text_encoder, denoiser, images, _config(settings, word, seed), on_step)
    start = start_from_word(
        word, text_encoder.token_ids(word), text_encoder.vocabularies, settings.magnitude_statistic
    )
    keeper = _Keeper(EvaluationSet(text_encoder, denoiser, images)) if settings.keep_best else None

    def each_step(report: StepReport) -> None:
        if keeper is not None and (report.step % LOOK_EVERY == 0 or report.step == settings.steps):
            keeper.look(report.vectors)
        on_step(report)

    vectors = descend(
        text_encoder,
        denoiser,
        images,
        _update(settings, start, text_encoder, word, contextual),
        steps=settings.steps,
        batch_size=settings.batch_size,
        seed=seed,
        stratified=settings.stratified,
        on_step=each_step,
    )
    return vectors if keeper is None else keeper.best


def _update(
    settings: Settings,
    start: Mapping[str, Start],
    text_encoder: TextEncoder,
    word: str,
    contextual: Mapping[str, Tensor] | None,
) -> Update:
    rate = settings.learning_rate
    if settings.method == "dti":
        return SphereUpdate(start, settings)
    if settings.method == "cross_init":
        if contextual is None:
            raise ValueError("CrossInit starts at what the text encoder makes of the word; give contextual.")
        return AdamWUpdate(contextual, rate, anchor_weight=ANCHOR_WEIGHT)
    if settings.method == "adamw_sphere":
        rows = {key: s.magnitude * s.direction for key, s in start.items()}
        return AdamWUpdate(rows, rate, radius={key: s.magnitude for key, s in start.items()})
    # Textual Inversion starts at the word's own rows, with their own lengths.
    ids = text_encoder.token_ids(word)
    tables = text_encoder.vocabularies
    return AdamWUpdate({key: table.rows(ids[key]).cpu() for key, table in tables.items()}, rate)


def _config(settings: Settings, word: str, seed: int) -> TrainingConfig:
    return TrainingConfig(
        initializer=word,
        magnitude=settings.magnitude,
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        kappa=settings.kappa,
        seed=seed,
    )


class _Keeper:
    """The vectors with the least loss on the evaluation set so far."""

    def __init__(self, evaluation_set: EvaluationSet) -> None:
        self._evaluation_set = evaluation_set
        self._least = float("inf")
        self.best: Vectors = {}

    def look(self, vectors: Mapping[str, Tensor]) -> None:
        loss = self._evaluation_set.loss(vectors)
        if not self.best or loss < self._least:
            self._least, self.best = loss, dict(vectors)
