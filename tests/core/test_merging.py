"""Embeddings of different numbers of vectors: refused by name, or padded."""

from __future__ import annotations

import pytest
import torch

from dti_core.embedding import ConceptEmbedding
from dti_core.merging import check_alike, padded
from tests.core.embeddings import rows


def word(name: str, clip_l: int, clip_g: int) -> ConceptEmbedding:
    return ConceptEmbedding(name, {"clip_l": rows(clip_l, 4, 1), "clip_g": rows(clip_g, 6, 2)}, {"dti.steps": "400"})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (word("cat", 8, 8), "'dog' has 1 vector and 'cat' has 8 vectors; .*Set padding to 'repeat'"),
        (word("cat", 1, 2), "'cat' has 1 for clip_l, 2 for clip_g vectors"),
    ],
)
def test_different_numbers_are_refused_with_what_to_do(other: ConceptEmbedding, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_alike([word("dog", 1, 1), other])


def test_shorter_ones_repeat_their_vectors_in_order() -> None:
    one, two, three = padded([word("one", 1, 1), word("two", 2, 3), word("three", 5, 2)])
    check_alike([one, two, three])
    assert three.counts == {"clip_l": 5, "clip_g": 3}
    assert torch.equal(two.vectors["clip_l"], rows(2, 4, 1)[[0, 1, 0, 1, 0]])
    assert torch.equal(one.vectors["clip_g"], rows(1, 6, 2).expand(3, -1))
    assert torch.equal(three.vectors["clip_l"], rows(5, 4, 1))
    assert (one.name, one.metadata) == ("one", {"dti.steps": "400"})
