"""The dial beside other knobs, and the ranking of nouns: what is compared, and how."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from paper_tables.dial import POSITIONS, at_same_image, comparisons, dials
from paper_tables.other_noun import REPORTING, other_noun
from paper_tables.plan import WHOLE
from paper_tables.settings import AS_TRAINED, Use
from paper_tables.suggest import WORDS, table
from small_world.subjects import SUBJECTS
from small_world.words import NOUNS


def test_a_dial_trains_nothing_of_its_own() -> None:
    known = {run.training_id for one in comparisons(WHOLE) for run in one.others.runs()}
    for dial in dials(WHOLE):
        between = [row for row in dial.rows if row.use != AS_TRAINED]
        assert [row.label for row in dial.rows] == [f"{t:g}" for t in POSITIONS]
        assert [row.use for row in between] == [Use(norm_share=1 - t, turn_share=1 - t) for t in POSITIONS[1:-1]]
        trained = {dial.training_id(row, name, 1) for row in dial.rows[1:] for name in dial.concepts}
        assert trained <= known and len(trained) == 7


def test_each_comparison_is_of_the_same_subjects_and_images() -> None:
    for one in comparisons(WHOLE):
        assert one.dial.concepts == one.others.concepts
        assert (one.dial.seeds, one.dial.sampling_seeds) == (one.others.seeds, one.others.sampling_seeds)
        assert {one.others.row(label).label for label in one.labels} == set(one.labels)


def test_the_dial_is_read_at_the_image_of_the_other() -> None:
    """Text falls from 1 to 0.9 while image rises from 0 to 1, for each of two subjects alike."""
    image, text = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.98, 0.98], [0.9, 0.9]])
    found = at_same_image((image, text), (np.array([0.7, 0.8]), np.array([0.9, 0.92])))
    assert found is not None
    own, less = found
    assert own.mean == pytest.approx(0.94) and (own.low, own.high) == pytest.approx((0.932, 0.948))
    assert less.mean == pytest.approx(0.03) and (less.low, less.high) == pytest.approx((0.012, 0.048))
    for outside in (1.1, np.nan):
        assert at_same_image((image, text), (np.full(2, outside), np.full(2, 0.9))) is None


def test_the_class_word_is_found_among_the_nouns() -> None:
    subject = next(one for one in SUBJECTS if one.word == "donut")
    hard = torch.arange(1.0, 25.0)
    losses = {word: hard + 0.02 * number + (0.01 if word == "ring" else 0.0) for number, word in enumerate(WORDS, 3)}
    losses |= {"ring": hard, "donut": hard + torch.tensor([0.02, -0.01] * 12)}
    header, _, line, _, said = table({subject: losses}).splitlines()
    assert header.count("|") == line.count("|")
    # Of a mean loss of 12.5; the standard deviation of 24 differences is 0.01532.
    assert line == "| frosted_donut | donut | ring | 2 | 0.04 (+/- 0.05) | donut |"
    assert "first for 0 of 1 subjects" in said and "on 24 noisy images 1 times of 1, on 6" in said


def test_the_other_noun_is_of_another_shape() -> None:
    for subject in REPORTING:
        assert other_noun(subject) in WORDS and other_noun(subject) not in NOUNS[subject.thing.shape]
