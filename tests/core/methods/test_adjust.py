from __future__ import annotations

import math

import pytest
import torch

from dti_core.embedding import ConceptEmbedding
from dti_core.methods.adjust import adjust_to_word, rescale
from dti_core.sphere import dist, projx
from tests.rounding import EPS32


def concept() -> ConceptEmbedding:
    generator = torch.Generator().manual_seed(0)
    vectors = {key: 20 * torch.randn(3, width, generator=generator) for key, width in (("clip_l", 24), ("clip_g", 40))}
    return ConceptEmbedding("old", vectors, {"dti.initializer": "dog", "modelspec.title": "old"})


def test_lengths_change_and_directions_stay() -> None:
    old = concept()
    new = rescale(old, {"clip_l": 0.387, "clip_g": 0.61, "t5xxl": 9.0}, "calm/new")
    for key, length in (("clip_l", 0.387), ("clip_g", 0.61)):
        torch.testing.assert_close(new.norms()[key], torch.full((3,), length))
        # Components below 1 that were divided, multiplied and divided again, and two norms.
        torch.testing.assert_close(new.directions()[key], old.directions()[key], atol=8 * EPS32, rtol=0)
    assert new.name == "calm/new"
    assert new.metadata == {
        "dti.initializer": "dog",
        "dti.rescaled_from": "old",
        "dti.rescaled_to": "clip_l 0.387, clip_g 0.61",
        "modelspec.title": "calm/new",
    }


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_magnitudes_that_make_no_sense(bad: float) -> None:
    with pytest.raises(ValueError, match=r"magnitude for clip_g is .*finite and above 0"):
        rescale(concept(), {"clip_l": 1.0, "clip_g": bad}, "new")


def test_an_encoder_without_a_magnitude_stays_as_it_is() -> None:
    old = concept()
    new = rescale(old, {"clip_l": 1.0}, "new")
    assert torch.equal(new.vectors["clip_g"], old.vectors["clip_g"])
    torch.testing.assert_close(new.norms()["clip_l"], torch.ones(3))
    assert new.metadata["dti.rescaled_to"] == "clip_l 1"


def test_some_encoder_needs_a_magnitude() -> None:
    with pytest.raises(ValueError, match="no magnitude for clip_l, clip_g of the embedding 'old'; got t5xxl"):
        rescale(concept(), {"t5xxl": 1.0}, "new")


def test_a_zero_vector_has_no_direction() -> None:
    with pytest.raises(ValueError, match="norms 0"):
        rescale(ConceptEmbedding("zero", {"clip_l": torch.zeros(1, 4)}), {"clip_l": 1.0}, "new")


WORD = {key: torch.ones(1, width) for key, width in (("clip_l", 24), ("clip_g", 40))}


def test_an_adjusted_embedding_is_that_much_nearer_to_the_word() -> None:
    old = concept()
    new = adjust_to_word(old, WORD, "calm", 0.5, 0.2)
    for key, word in WORD.items():
        x, y = projx(old.vectors[key].double()), projx(word.double()).expand(3, -1)
        turned = projx(new.vectors[key].double())
        # Stored as float32.
        torch.testing.assert_close(dist(turned, y), 0.8 * dist(x, y), atol=8 * EPS32, rtol=0)
        torch.testing.assert_close(dist(turned, x), 0.2 * dist(x, y), atol=8 * EPS32, rtol=0)
        torch.testing.assert_close(new.norms()[key], (old.norms()[key] + word.norm()) / 2)
    assert new.metadata["dti.adjusted_from"] == "old"
    assert new.metadata["dti.adjusted_by"] == "norm_share 0.5, turn_share 0.2"
    whole = {key: rows.expand(3, -1) for key, rows in WORD.items()}
    for shares, same in (((0.0, 0.0), old.vectors), ((1.0, 1.0), whole)):
        for key, rows in adjust_to_word(old, WORD, "end", *shares).vectors.items():
            torch.testing.assert_close(rows, same[key])


def test_adjustments_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match=r"turn_share is 1\.5"):
        adjust_to_word(concept(), WORD, "new", 0.2, 1.5)
    with pytest.raises(ValueError, match="no rows of the word for clip_g"):
        adjust_to_word(concept(), {"clip_l": WORD["clip_l"]}, "new")
    with pytest.raises(ValueError, match="antipodal"):
        adjust_to_word(ConceptEmbedding("no", {"clip_l": -torch.ones(1, 24)}), WORD, "new")
