"""The method that a configuration names, at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from .. import sphere
from ..embedding import ConceptEmbedding
from ..files.embedding_file import check_widths
from ..merging import repeated
from ..methods import DTI, METHODS, CrossInit, Method, ProjectedAdamW, TextualInversion, Together
from ..methods.cross_init import REGULARISER
from ..methods.relative_rate import coordinate_of
from .backend import TextEncoder
from .config import TrainingConfig
from .initializer import start_from_word

PRIORS = ("initializer", "start_from")


def start_method(
    config: TrainingConfig,
    text_encoder: TextEncoder,
    hidden_states: Mapping[str, Tensor] | None = None,
    start_from: ConceptEmbedding | None = None,
    prior: str = "initializer",
    share: float = 1.0,
) -> Method:
    """The method that `config` names, at its start.

    hidden_states: what the text encoders make of the initializer, `[n_tokens, dim]` by encoder key, from which
        CrossInit starts; no other method asks for them.
    start_from: an embedding to start from instead; where the method keeps the norm, its directions at m*.
    prior: one of PRIORS, where DTI's prior direction comes from.
    share: of a batch's images, those that show the concept. The gradient is that of the whole batch's mean loss: what
        pulls against it, a prior or a regulariser, pulls with that share too.

    Raises ValueError where `start_from` does not fit the model, or has another number of vectors.
    """
    if prior not in PRIORS:
        raise ValueError(f"prior is {prior!r}; choose one of {', '.join(PRIORS)}.")
    ids, tables = text_encoder.token_ids(config.initializer), text_encoder.vocabularies
    n_vectors = config.n_vectors
    if start_from is not None:
        check_widths(start_from, {key: table.dim for key, table in tables.items()})
        n_vectors = _number_of_vectors(start_from, config, max(map(len, ids.values()), default=0))
    start = start_from_word(config.initializer, ids, tables, config.magnitude, n_vectors)
    rows = {key: s.rows if start_from is None else start_from.vectors[key] for key, s in start.items()}
    directions = {key: s.direction if start_from is None else sphere.projx(rows[key]) for key, s in start.items()}
    magnitudes = {key: s.magnitude * config.options.magnitude_factor for key, s in start.items()}
    kind = METHODS[config.method]
    if kind is DTI:
        mu = directions if prior == "start_from" else {key: s.direction for key, s in start.items()}
        average = config.options.average
        average_after = config.steps - average if average else None
        kappas = config.kappa * share, config.options.kappa_share
        return DTI(mu, magnitudes, config.rate, *kappas, average_after, directions)
    coordinates = {key: coordinate_of(vocabulary) for key, vocabulary in tables.items()}
    if kind is ProjectedAdamW:
        return ProjectedAdamW(directions, magnitudes, config.rate, coordinates)
    if kind is CrossInit and start_from is None:
        if hidden_states is None:
            raise ValueError("CrossInit starts at what the text encoders make of the initializer; give hidden_states.")
        rows = {key: repeated(hidden_states[key], len(rows[key])) for key in rows}
    if kind is CrossInit:
        return CrossInit(rows, config.rate, coordinates, REGULARISER * share)
    return TextualInversion(rows, config.rate, coordinates)


def start_together(
    config: TrainingConfig,
    initializers: Mapping[str, str],
    text_encoder: TextEncoder,
    hidden_states: Mapping[str, Mapping[str, Tensor]] | None = None,
    shares: Mapping[str, float] | None = None,
) -> Together:
    """A method for each of several concepts that are trained in one run, at its start.

    config: of all of them, but for the initializer.
    initializers: by the concept's name.
    hidden_states, shares: as `start_method` takes them, by name; without `shares` each is 1.

    Captions name the concepts by their rows: `captions.with_rows(texts, name, together.rows)`. Raises as
    `start_method`.
    """
    methods = [
        start_method(
            replace(config, initializer=word),
            text_encoder,
            (hidden_states or {}).get(name),
            share=(shares or {}).get(name, 1.0),
        )
        for name, word in initializers.items()
    ]
    return Together(list(initializers), methods)


def angle_origin(config: TrainingConfig, start_from: ConceptEmbedding | None = None, prior: str = "initializer") -> str:
    """From where a run that `start_method` has begun measures its angles (`Movement.angle`), in words."""
    of_prior = METHODS[config.method] is DTI
    if start_from is not None and (prior == "start_from" or not of_prior):
        return "start_from"
    return "the start" if METHODS[config.method] is CrossInit else "the initializer"


def _number_of_vectors(embedding: ConceptEmbedding, config: TrainingConfig, longest: int) -> int:
    if len(set(embedding.counts.values())) > 1:
        counts = ", ".join(f"{key} {count}" for key, count in embedding.counts.items())
        raise ValueError(
            f"The embedding to start from, {embedding.name!r}, has different numbers of vectors ({counts}), and "
            "training takes one number for all encoders. Start from another."
        )
    count = embedding.n_vectors
    if config.n_vectors not in (0, count):
        raise ValueError(
            f"n_vectors is {config.n_vectors}, and the embedding to start from, {embedding.name!r}, has {count}. Set "
            "n_vectors to 0: the embedding decides."
        )
    if longest > count:
        raise ValueError(
            f"The initializer {config.initializer!r} is {longest} tokens long, and the embedding to start from, "
            f"{embedding.name!r}, has {count} vectors. Give a word of at most {count}."
        )
    return count
