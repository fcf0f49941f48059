"""Two subjects in one run: what they are trained on, and what is said of it."""

from __future__ import annotations

import numpy as np
from paper_tables.together import (
    ALONE,
    ONLY_BOTH,
    PAIRS,
    TOGETHER,
    WITH_BOTH,
    images_of_both,
    own_images,
    shown,
    table,
)


def test_images_of_both_show_each_on_either_side() -> None:
    for first, second in PAIRS:
        both = images_of_both(first, second)
        assert both.owners == [first.name, second.name] * 2
        assert all("{}" in text and f"{{{second.name}}}" in text for text in both.captions[0])
        left, right = both.pictures[0][:, :64], both.pictures[1][:, 64:]
        assert left.shape == right.shape and np.any(left != both.pictures[1][:, :64])
        pile = own_images(first) + own_images(second) + both
        assert (len(pile.pictures), shown(pile, first), shown(pile, second)) == (12, 8, 8)


def test_the_table_sets_each_way_against_alone() -> None:
    rows = [
        {"way": way, "subject": name, "image": 0.5, "other": 0.1 * number, "text": 1.0}
        for number, way in enumerate((ALONE, TOGETHER, WITH_BOTH, ONLY_BOTH))
        for name in ("star", "heart")
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| each alone | 0.500 | 0.000 | 1.000 |  |"
    assert lines[4] == "| together, and images that show both | 0.500 | 0.200 | 1.000 | 0.200 |"
