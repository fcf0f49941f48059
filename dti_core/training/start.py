"""The method that a configuration names, at its start."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..merging import repeated
from ..methods import DTI, METHODS, CrossInit, Method, ProjectedAdamW, TextualInversion
from ..methods.relative_rate import coordinate_of
from .backend import TextEncoder
from .config import TrainingConfig
from .initializer import start_from_word


def start_method(
    config: TrainingConfig, text_encoder: TextEncoder, hidden_states: Mapping[str, Tensor] | None = None
) -> Method:
    """The method that `config` names, at its start.

    hidden_states: what the text encoders make of the initializer, `[n_tokens, dim]` by encoder key, from which
        CrossInit starts; no other method asks for them.
    """
    start = start_from_word(
        config.initializer,
        text_encoder.token_ids(config.initializer),
        text_encoder.vocabularies,
        config.magnitude,
        config.n_vectors,
    )
    rows = {key: s.rows for key, s in start.items()}
    directions = {key: s.direction for key, s in start.items()}
    magnitudes = {key: s.magnitude * config.options.magnitude_factor for key, s in start.items()}
    kind = METHODS[config.method]
    if kind is DTI:
        share, average = config.options.kappa_share, config.options.average
        average_after = config.steps - average if average else None
        return DTI(directions, magnitudes, config.rate, config.kappa, share, average_after)
    coordinates = {key: coordinate_of(vocabulary) for key, vocabulary in text_encoder.vocabularies.items()}
    if kind is ProjectedAdamW:
        return ProjectedAdamW(directions, magnitudes, config.rate, coordinates)
    if kind is CrossInit:
        if hidden_states is None:
            raise ValueError("CrossInit starts at what the text encoders make of the initializer; give hidden_states.")
        states = {key: repeated(hidden_states[key], len(rows[key])) for key in rows}
        return CrossInit(states, config.rate, coordinates)
    return TextualInversion(rows, config.rate, coordinates)
