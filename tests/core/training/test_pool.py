"""Several concepts in one pool: each is drawn as often as the others, and its share of a batch is known."""

from __future__ import annotations

import pytest
import torch

from dti_core.training.data import TrainingImage
from dti_core.training.pool import MOST_COPIES, drawn_evenly, shares


def images(*repeats: int, captions: tuple[str, ...] = ("a {rex}",)) -> list[TrainingImage]:
    latent = torch.zeros(4, 4, 4)
    return [TrainingImage(latent, latent, (32, 32), captions, repeats=count) for count in repeats]


def repeats(concepts: list[list[TrainingImage]]) -> list[list[int]]:
    return [[image.repeats for image in own] for own in concepts]


def test_concepts_are_drawn_as_often_whatever_their_number_of_images() -> None:
    assert repeats(drawn_evenly([images(1, 1, 1), images(1, 1, 1, 1, 1, 1)])) == [[2] * 3, [1] * 6]
    assert repeats(drawn_evenly([images(1, 2), images(1, 1)])) == [[2, 4], [3, 3]]
    # One concept, and several alike, are left as they are.
    assert repeats(drawn_evenly([images(1, 3)])) == [[1, 3]]
    assert repeats(drawn_evenly([images(1, 1), images(1, 1)])) == [[1, 1], [1, 1]]


def test_numbers_that_share_nothing_do_not_make_a_pool_without_end() -> None:
    concepts = drawn_evenly([images(*[1] * count) for count in (7, 11, 13, 17, 19)])
    totals = [sum(own) for own in repeats(concepts)]
    assert max(totals) <= 1.01 * MOST_COPIES and min(totals) >= 0.99 * MOST_COPIES


def test_shares_count_captions_that_name_a_concept() -> None:
    pool = [*images(2, captions=("a {rex}", "a {rex} and a {mug}")), *images(1, 1, captions=("the {mug}",))]
    assert shares(pool, ["rex", "mug"]) == {"rex": 0.5, "mug": 0.75}
    # Exactly, so that a run of one is what it is alone.
    assert shares(images(*range(1, 50), captions=("a {rex}",) * 7), ["rex"]) == {"rex": 1.0}


def test_an_image_of_one_that_is_named_by_the_other() -> None:
    assert shares(images(1, captions=("a {rex} and a {mug}",)), ["rex", "mug"]) == pytest.approx({"rex": 1, "mug": 1})
