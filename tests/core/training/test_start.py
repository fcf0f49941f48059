"""Where a run starts that goes on from an embedding."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dti_core.embedding import ConceptEmbedding
from dti_core.interpolation import slerp
from dti_core.methods import METHODS
from dti_core.training import TrainingConfig, start_method, train
from dti_core.training.start import PRIORS, angle_origin
from tests.core.training.test_loop import WIDTHS, ToyDenoiser, ToyTextEncoder
from tests.core.training.toy_runs import images
from tests.rounding import EPS32

KEEPS_NORM = ("DTI", "projected AdamW")


def embedding(norm: float = 3.0, count: int = 2, **changes) -> ConceptEmbedding:
    generator = torch.Generator().manual_seed(5)
    vectors = {key: torch.randn((count, width), generator=generator) for key, width in WIDTHS.items()}
    vectors = {key: norm * torch.nn.functional.normalize(rows) for key, rows in vectors.items()}
    return ConceptEmbedding("old", {**vectors, **changes})


def config(method: str = "DTI", **settings) -> TrainingConfig:
    return TrainingConfig("dog", method=method, **settings)


@pytest.mark.parametrize("method", METHODS)
def test_an_old_file_far_off_the_sphere(method: str) -> None:
    """Methods that keep the norm take its direction at m*, the others the vectors as they are."""
    text_encoder = ToyTextEncoder()
    start = embedding()
    found = start_method(config(method), text_encoder, start_from=start).result()
    for key, rows in start.vectors.items():
        norm = text_encoder.vocabularies[key].mean if method in KEEPS_NORM else 3.0
        torch.testing.assert_close(found[key], rows * norm / 3, rtol=0, atol=8 * EPS32 * norm)


def test_an_embedding_between_two() -> None:
    ours = embedding(norm=0.3)
    between = slerp(ours, ConceptEmbedding("b", {k: v.flip(0) for k, v in ours.vectors.items()}), 0.5, "mixed")
    found = start_method(config(), ToyTextEncoder(), start_from=between).result()
    for key, rows in between.vectors.items():
        cosine = torch.nn.functional.cosine_similarity(found[key], rows)
        torch.testing.assert_close(cosine, torch.ones(2), rtol=0, atol=16 * EPS32)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_prior_pulls_to_the_initializer_or_to_the_start(prior: str) -> None:
    """With a pull far above the gradient, the run ends at mu."""
    text_encoder, start = ToyTextEncoder(), embedding()
    recipe = config(kappa=1.0, steps=200, learning_rate=0.02)
    method = start_method(recipe, text_encoder, start_from=start, prior=prior)
    denoiser = ToyDenoiser(text_encoder)
    found = train(text_encoder, denoiser, images(), recipe, method=method)
    word = {key: table.rows([3, 3]) for key, table in text_encoder.vocabularies.items()}
    wanted, other = (word, start.vectors) if prior == "initializer" else (start.vectors, word)
    for key, rows in found.items():
        near, far = (torch.nn.functional.cosine_similarity(rows, to[key]) for to in (wanted, other))
        # It circles mu at a step, and the data turns that a little.
        assert (near > 0.9).all() and (far < near).all()


def test_what_does_not_fit() -> None:
    text_encoder = ToyTextEncoder()
    for start, settings, message in (
        (embedding(clip_l=torch.ones(2, 5)), {}, "for .* but this model"),
        (embedding(clip_l=torch.ones(1, 6)), {}, r"different numbers of vectors \(clip_l 1, clip_g 2\)"),
        (embedding(), {"n_vectors": 3}, "n_vectors is 3, .* 'old', has 2. Set n_vectors to 0"),
        (embedding(count=1), {"initializer": "red dog"}, "'red dog' is 2 tokens long, .* has 1 vectors"),
    ):
        with pytest.raises(ValueError, match=message):
            start_method(dataclasses.replace(config(), **settings), text_encoder, start_from=start)
    with pytest.raises(ValueError, match="prior is 'none'; choose one of initializer, start_from"):
        start_method(config(), text_encoder, prior="none")


@pytest.mark.parametrize("method", [name for name in METHODS if name != "CrossInit"])
@pytest.mark.parametrize(
    ("start", "prior"), [(None, "initializer"), *((embedding(count=1), prior) for prior in PRIORS)]
)
def test_angles_are_measured_from_where_it_is_said(method: str, start: ConceptEmbedding | None, prior: str) -> None:
    text_encoder, reports = ToyTextEncoder(), []
    run = config(method, steps=2)
    begun = start_method(run, text_encoder, start_from=start, prior=prior)
    result = train(text_encoder, ToyDenoiser(text_encoder), images(), run, reports.append, method=begun)
    ids = text_encoder.token_ids("dog")
    word = {key: table.rows(ids[key]) for key, table in text_encoder.vocabularies.items()}
    origin = {"the initializer": word, "start_from": start and start.vectors}[angle_origin(run, start, prior)]
    for key, rows in result.items():
        cosine = torch.nn.functional.cosine_similarity(rows.double(), origin[key].double())
        # Float32 tells an angle of a few degrees from its cosine to about this.
        assert reports[-1].angle_to_prior[key] == pytest.approx(float(cosine.acos().rad2deg().mean()), abs=0.05)


def test_crossinit_measures_from_what_the_encoders_make_of_the_initializer() -> None:
    assert angle_origin(config("CrossInit")) == "the start"
    assert angle_origin(config("CrossInit"), embedding()) == "start_from"
