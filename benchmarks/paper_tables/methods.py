"""From settings to vectors: every method and option by the pack's own training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dti_pack.dti_core.methods import Options
from dti_pack.dti_core.training import StepReport, TrainingConfig, start_method, train
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.dti_core.training.evaluation_set import EvaluationSet
from dti_pack.dti_core.training.validation import Validation
from torch import Tensor

from .settings import TRAINED, Settings


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
    validation: Validation | None = None,
) -> dict[str, Tensor]:
    """Train a concept; batches depend on the seed alone, so all methods see the same.

    Args:
        text_encoder, denoiser: the host's model inside a training session.
        settings: a method that trains.
        on_step: called after every step.
        word: the initializer.
        words: what `settings.best_word` chooses from.
        contextual: what the text encoder makes of the word, `[n_vectors, dim]` by encoder key (CrossInit's start).
        validation: measures on images that are not among these.

    Returns:
        Vectors by encoder key, `[n_vectors, dim]` float32 on the CPU.
    """
    if not settings.trains:
        raise ValueError(f"{settings.method!r} is not trained.")
    if settings.best_word:
        word = EvaluationSet(text_encoder, denoiser, images).best_word(words)
    config = config_of(settings, word, seed)
    method = start_method(config, text_encoder, contextual)
    return train(text_encoder, denoiser, images, config, on_step, method=method, validation=validation)


def config_of(settings: Settings, word: str, seed: int) -> TrainingConfig:
    """The training loop's words for `settings`."""
    return TrainingConfig(
        initializer=word,
        magnitude=settings.magnitude_statistic,
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.rate,
        kappa=settings.kappa,
        seed=seed,
        method=TRAINED[settings.method],
        options=Options(
            magnitude_factor=settings.magnitude_factor,
            kappa_share=settings.kappa_share,
            average=settings.average,
            decay=settings.decay,
            decay_floor=settings.decay_floor,
            stratified=settings.stratified,
            noise_start=settings.noise_start,
            noise_end=settings.noise_end,
        ),
    )
