"""How often images are drawn beside one another."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import torch

from dti_core.training.data import draw_batch
from dti_core.training.fingerprints import differences
from dti_core.training.repeats import drawn_by, with_repeats
from tests.core.training.test_data import image, same_drawings
from tests.core.training.test_fingerprints import of
from tests.core.training.toy_runs import images

PICTURES = [image(4, 4, fill) for fill in (10.0, 20.0, 30.0)]


def test_images_are_drawn_by_their_repeats():
    generator = torch.Generator().manual_seed(0)
    repeated = with_repeats(PICTURES, (1, 1, 6))
    drawn: Counter[str] = Counter()
    for _ in range(200):
        batch = draw_batch(repeated, 4, generator)
        drawn.update(batch.captions)
        assert batch.captions.count("a 10.0 {}") <= 1
    # 800 draws, an eighth each of the first two: 100, with a deviation of 7 in draws without replacement.
    assert abs(drawn["a 10.0 {}"] - 100) < 40 and abs(drawn["a 20.0 {}"] - 100) < 40
    # As many as there are come up exactly so often.
    assert Counter(draw_batch(repeated, 8, generator).captions)["a 30.0 {}"] == 6


def test_mirror_images_are_drawn_like_their_pictures():
    assert [one.repeats for one in with_repeats([*PICTURES, *PICTURES], (1, 2, 3))] == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("repeats", [(), (7,), (5, 5, 5)])
def test_equal_repeats_are_none(repeats):
    shares = drawn_by(repeats, 3)
    assert shares == (1, 1, 1)
    plain, repeated = (
        draw_batch(given, 5, torch.Generator().manual_seed(1)) for given in (PICTURES, with_repeats(PICTURES, shares))
    )
    assert same_drawings(plain, repeated) and plain.captions == repeated.captions


def test_what_is_common_to_all_is_left_out():
    assert drawn_by((10, 20, 10), 3) == (1, 2, 1)
    assert drawn_by((10, 1, 4), 3) == (10, 1, 4)


@pytest.mark.parametrize(
    ("repeats", "message"),
    [((1, 2), "got 2 repeats for 3 images"), ((1, 0, 1), "repeats of image 2 is 0; it has to be 1 or more")],
)
def test_repeats_that_do_not_fit_are_refused(repeats, message):
    with pytest.raises(ValueError, match=message):
        drawn_by(repeats, 3)


def test_a_state_is_of_its_repeats():
    first, *others = images()
    assert differences(of(), of(pictures=[dataclasses.replace(first, repeats=2), *others])) == [
        "repeats of image 1 was not set and is 2"
    ]
