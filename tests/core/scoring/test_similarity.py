"""Cosines against what plain loops give, and what they are at their ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from dti_core.scoring.similarity import (
    cosines,
    likeness,
    likeness_among,
    own_text,
    own_text_preferred,
    siglip_probability,
)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 8, generator=generator), torch.randn(3, 8, generator=generator)


def test_likeness_is_the_mean_over_references(features):
    images, references = features
    expected = [sum(float(cosine_similarity(i, r, dim=0)) for r in references) / 3 for i in images]
    assert likeness(images, references).tolist() == pytest.approx(expected, abs=1e-6)


def test_references_are_not_compared_with_themselves(features):
    _, references = features
    pairs = [float(cosine_similarity(references[i], references[j], dim=0)) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert likeness_among(references) == pytest.approx(sum(pairs) / 3, abs=1e-6)
    assert math.isnan(likeness_among(references[:1]))


def test_agreement_is_with_the_own_text_at_any_scale(features):
    images, _ = features
    own = torch.tensor([3, 2, 1, 0])
    assert own_text(cosines(images, 7 * images.flip(0)), own).tolist() == pytest.approx([1.0] * 4)
    assert own_text(cosines(images, -images.flip(0)), own).tolist() == pytest.approx([-1.0] * 4)


def test_own_text_preferred_is_a_half_where_texts_are_alike():
    texts = torch.eye(4)
    own = torch.tensor([2, 3])
    assert own_text_preferred(texts[own], own).tolist() == [1.0, 1.0]
    assert own_text_preferred(torch.ones(2, 4), own).tolist() == [0.5, 0.5]
    assert own_text_preferred(-texts[own], own).tolist() == [0.0, 0.0]


def test_siglip_is_a_probability():
    assert siglip_probability(torch.tensor([0.0, -math.log(3)])).tolist() == pytest.approx([0.5, 0.25])
