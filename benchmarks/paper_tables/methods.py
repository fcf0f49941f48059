"""From settings to vectors: every method and option by the pack's own training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dti_pack.dti_core.methods import Options
from dti_pack.dti_core.training import StepReport, TrainingConfig, start_method, train
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.dti_core.training.evaluation_set import EvaluationSet, KeepBest
from torch import Tensor

from .settings import Settings

LOOK_EVERY = 25  # steps between looks at the evaluation set
# What settings call them, by which stored results are found.
NAMES = {"dti": "DTI", "ti": "Textual Inversion", "cross_init": "CrossInit", "adamw_sphere": "projected AdamW"}


def learn(
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    images: Sequence[TrainingImage],
    settings: Settings,
    seed: int,
    on_step: Callable[[StepReport], None] = lambda report: None,
    *,
    word: str,
    words: Sequence[str] = (),
    contextual: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Train a concept; batches depend on the seed alone, so all methods see the same.

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
    evaluation_set = EvaluationSet(text_encoder, denoiser, images)
    if settings.best_word:
        word = evaluation_set.best_word(words)
    config = config_of(settings, word, seed)
    best = KeepBest(evaluation_set, LOOK_EVERY, settings.steps)

    def each_step(report: StepReport) -> None:
        if settings.keep_best:
            best(report)
        on_step(report)

    method = start_method(config, text_encoder, contextual)
    vectors = train(text_encoder, denoiser, images, config, each_step, method=method)
    return best.vectors if settings.keep_best else vectors


def config_of(settings: Settings, word: str, seed: int) -> TrainingConfig:
    """The training loop's words for `settings`."""
    return TrainingConfig(
        initializer=word,
        magnitude=settings.magnitude_statistic,
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        kappa=settings.kappa,
        seed=seed,
        method=NAMES[settings.method],
        options=Options(
            magnitude_factor=settings.magnitude_factor,
            kappa_share=settings.kappa_share,
            average=settings.average,
            decay=settings.decay,
            stratified=settings.stratified,
        ),
    )
