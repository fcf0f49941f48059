"""Which of several embeddings is chosen, by rule and by share."""

from __future__ import annotations

import numpy as np
import pytest

from dti_core.scoring.choice import Scores, choose_by_share, choose_within_interval

NOISE = np.random.default_rng(0).normal(0, 0.2, (20, 2))  # of prompts and seeds, the same for all: pairs cancel it


def scored(image: float, text: float, own: float = 0.0) -> Scores:
    spread = np.random.default_rng(int(1000 * (image + 10 * text))).normal(0, own, NOISE.shape) if own else 0
    return Scores(image + NOISE + spread, text + NOISE)


def test_what_is_below_the_best_beyond_its_interval_is_not_chosen():
    # Far less text than prompts differ in, and still told apart: pair by pair the prompts cancel out.
    choice = choose_within_interval([scored(0.30, 0.9), scored(0.60, 0.5), scored(0.70, 0.4)])
    assert (choice.chosen, choice.best, choice.eligible) == (2, 2, (2,))


def test_among_those_that_may_be_as_good_the_most_text_is_chosen():
    choice = choose_within_interval([scored(0.30, 0.9), scored(0.69, 0.5, own=0.2), scored(0.70, 0.4)])
    assert (choice.chosen, choice.best, choice.eligible) == (1, 2, (1, 2))


def test_with_one_scorer_the_highest_of_it():
    images = [Scores(one.image, None) for one in (scored(0.3, 0), scored(0.7, 0), scored(0.6, 0))]
    texts = [Scores(None, one.text) for one in (scored(0, 0.3), scored(0, 0.7), scored(0, 0.6))]
    assert choose_within_interval(images).chosen == choose_within_interval(texts).chosen == 1
    with pytest.raises(ValueError, match="at least one scorer"):
        choose_within_interval([Scores(None, None)])


@pytest.mark.parametrize(("share", "chosen"), [(1.0, 2), (0.9, 2), (0.75, 1), (0.5, 1), (0.25, 0), (0.0, 0)])
def test_a_share_of_the_likeness_above_the_class_word(share, chosen):
    floor = 0.2 + NOISE
    scores = [scored(0.40, 0.9), scored(0.60, 0.5), scored(0.70, 0.4)]  # 40, 80 and 100 % of the way
    assert choose_by_share(scores, floor, share).chosen == chosen


def test_a_share_needs_images():
    with pytest.raises(ValueError, match="image scorer"):
        choose_by_share([Scores(None, NOISE)], NOISE, 0.5)
