from __future__ import annotations

import math

import pytest
import torch

from dti_core.dial import dial, initializer_of
from dti_core.embedding import ConceptEmbedding
from dti_core.interpolation import slerp
from dti_core.merging import repeated
from dti_core.methods.adjust import adjust_to_word
from dti_core.sphere import dist, projx
from tests.core.embeddings import rows
from tests.rounding import EPS32

WORD = {"clip_l": rows(1, 24, 3), "clip_g": rows(1, 40, 4)}


def concept(scale: float = 1.0) -> ConceptEmbedding:
    vectors = {"clip_l": scale * rows(2, 24, 1), "clip_g": scale * rows(2, 40, 2)}
    return ConceptEmbedding("pets/rex", vectors, {"dti.initializer": "dog", "modelspec.title": "pets/rex"})


def test_both_ends_are_exact() -> None:
    rex = concept()
    assert dial(rex, "dog", WORD, 1.0, 1.0, "new") is rex
    word = dial(rex, "dog", WORD, 0.0, 0.0, "new")
    for key, found in word.vectors.items():
        assert torch.equal(found, WORD[key].expand(2, -1))
    assert word.name == "new"
    assert word.metadata == {
        "dti.initializer": "dog",
        "dti.dialled_from": "pets/rex",
        "dti.dialled_towards": "dog: likeness 0, norm_likeness 0",
        "modelspec.title": "new",
    }


@pytest.mark.parametrize("likeness", [0.01, 0.25, 0.5, 0.99])
def test_turned_alike_it_is_the_way_of_slerp(likeness: float) -> None:
    """So Slerp Sweep between the two ends generates what the dial gives."""
    rex, word = concept(28.0), dial(concept(28.0), "dog", WORD, 0.0, 0.0, "word")
    found, expected = dial(rex, "dog", WORD, likeness, likeness, "new"), slerp(word, rex, likeness, "new")
    for key in rex.vectors:
        # Norms of about 200, stored as float32 after arithmetic in float64.
        torch.testing.assert_close(found.vectors[key], expected.vectors[key], atol=200 * EPS32, rtol=2 * EPS32)


def test_apart_they_are_the_parameters_of_test_time_adjustment() -> None:
    old = concept(28.0)
    found, expected = dial(old, "dog", WORD, 0.8, 0.5, "new"), adjust_to_word(old, WORD, "new", 0.5, 0.2)
    for key in old.vectors:
        torch.testing.assert_close(found.vectors[key], expected.vectors[key], atol=200 * EPS32, rtol=2 * EPS32)


def test_the_norm_alone_keeps_the_direction() -> None:
    old = concept(28.0)
    found = dial(old, "dog", WORD, 1.0, 0.0, "new")
    for key, vectors in found.vectors.items():
        turned = dist(projx(vectors.double()), projx(old.vectors[key].double()))
        assert float(turned.max()) < 8 * EPS32
        torch.testing.assert_close(vectors.norm(dim=-1), WORD[key].norm(dim=-1).expand(2))


def test_tokens_repeat_as_training_repeats_them() -> None:
    two = {key: torch.cat([value, 2 * value + 1]) for key, value in WORD.items()}
    rex = ConceptEmbedding("rex", {"clip_l": rows(3, 24, 1), "clip_g": rows(3, 40, 2)})
    found = dial(rex, "red dog", two, 0.0, 0.0, "new")
    assert torch.equal(found.vectors["clip_l"], repeated(two["clip_l"], 3))


def test_an_encoder_that_the_clip_lacks_keeps_its_vectors() -> None:
    """SDXL's refiner has clip_g alone."""
    rex = concept()
    found = dial(rex, "dog", {"clip_g": WORD["clip_g"]}, 0.5, 0.5, "new")
    assert torch.equal(found.vectors["clip_l"], rex.vectors["clip_l"])
    assert not torch.equal(found.vectors["clip_g"], rex.vectors["clip_g"])
    with pytest.raises(ValueError, match="'pets/rex' is for clip_l, clip_g, and the word has rows for t5xxl"):
        dial(rex, "dog", {"t5xxl": rows(1, 8)}, 0.5, 0.5, "new")


def test_a_word_of_more_tokens_than_vectors_is_refused() -> None:
    """Without its last token it would be another word."""
    long = {key: value.repeat(3, 1) for key, value in WORD.items()}
    with pytest.raises(ValueError, match="3 tokens long, and 'pets/rex' has 2 vectors for clip_l"):
        dial(concept(), "red stuffed dog", long, 0.5, 0.5, "new")


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_dials_end_at_0_and_1(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^likeness is .*from 0"):
        dial(concept(), "dog", WORD, bad, 1.0, "new")
    with pytest.raises(ValueError, match=r"^norm_likeness is .*from 0"):
        dial(concept(), "dog", WORD, 1.0, bad, "new")


def test_whose_word_it_is() -> None:
    rex, stranger = concept(), ConceptEmbedding("old", {"clip_l": rows(1, 24)})
    assert initializer_of(rex) == initializer_of(rex, "  ") == "dog"
    assert initializer_of(rex, " puppy ") == initializer_of(stranger, "puppy") == "puppy"
    # Trained on from another embedding: the node's initializer was not its start, and perhaps its prior.
    for prior, ends in (("initializer", True), ("start_from", False)):
        on = ConceptEmbedding("old", stranger.vectors, {"dti.initializer": "dog", "dti.prior": prior})
        assert initializer_of(on, "puppy") == "puppy"
        if ends:
            assert initializer_of(on) == "dog"
        else:
            with pytest.raises(ValueError, match="does not name the word"):
                initializer_of(on)
    with pytest.raises(ValueError, match=r"'old' does not name the word it started from.*into initializer"):
        initializer_of(stranger)
