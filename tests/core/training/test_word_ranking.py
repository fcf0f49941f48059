"""Words ranked by their loss on the same noisy images."""

from __future__ import annotations

import math

import pytest
import torch

from dti_core.training.evaluation_set import EvaluationSet
from dti_core.training.word_ranking import ranked
from tests.core.training.test_loop import ToyTextEncoder
from tests.core.training.toy_runs import NoisyDenoiser, images

HARD = torch.tensor([0.1, 0.5, 2.0, 9.0])


def test_what_makes_an_image_hard_cancels_out():
    """Losses between 0.1 and 9, and yet a hundredth is told apart where it is the same on every image."""
    found = ranked({"far": HARD + 0.01, "best": HARD, "near": HARD + torch.tensor([0.3, -0.3, 0.3, -0.2])})
    assert [one.word for one in found] == ["best", "far", "near"]
    best, far, near = found
    assert (best.above, best.spread, best.is_apart) == (0, 0, False)
    assert far.above == pytest.approx(0.01, rel=1e-5) and far.is_apart
    # Standard deviation 0.32016 of four numbers.
    assert near.spread == pytest.approx(1.96 * 0.32016 / 2, rel=1e-4) and not near.is_apart
    assert far.loss == pytest.approx(2.91, rel=1e-6)


def test_of_equal_words_the_first_is_taken():
    assert [one.word for one in ranked({"dog": HARD, "hound": HARD})] == ["dog", "hound"]


def test_a_loss_that_is_no_number_comes_last():
    found = ranked({"broken": HARD / 0, "dog": HARD})
    assert [one.word for one in found] == ["dog", "broken"] and math.isinf(found[1].above) and found[1].is_apart
    with pytest.raises(ValueError, match="finite number with none of the words"):
        ranked({"broken": HARD * math.nan})
    with pytest.raises(ValueError, match="at least 2"):
        ranked({"dog": HARD[:1]})


def test_losses_keep_the_order_of_the_noisy_images():
    text_encoder = ToyTextEncoder()
    measured = EvaluationSet(text_encoder, NoisyDenoiser(text_encoder), images(), 7)
    rows = {key: vocabulary.rows([3]) for key, vocabulary in text_encoder.vocabularies.items()}
    whole, parts = measured.losses(rows), measured.losses(rows, 2)
    assert whole.shape == (7,) and len(set(whole.tolist())) == 7
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=0)
    assert measured.loss(rows) == float(whole.mean())
