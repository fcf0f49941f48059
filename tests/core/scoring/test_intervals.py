"""Bootstrap intervals on cases that are known."""

from __future__ import annotations

import numpy as np
import pytest

from dti_core.scoring.intervals import bootstrap, bootstrap_ratio


def test_bootstrap_on_known_cases():
    same = bootstrap(np.full((5, 3), 0.25))
    assert (same.mean, same.low, same.high, same.count) == (0.25, 0.25, 0.25, 15)
    # The mean of n numbers with deviation s has the error s / sqrt(n); the bootstrap sees s of the sample.
    values = np.random.default_rng(0).normal(0.5, 0.1, (200, 1))
    interval = bootstrap(values)
    error = values.std() / np.sqrt(200)
    # The interval's own error is that of quantiles from a finite number of resamples, a few percent; here 0.6.
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    # Seeds that differ widen the interval of concepts that do not.
    noisy = bootstrap(np.tile([0.0, 1.0], (4, 1)))
    assert noisy.low < 0.5 < noisy.high


def test_bootstrap_without_runs():
    assert str(bootstrap(np.full((2, 2), np.nan))) == "-"
    some = bootstrap(np.asarray([[0.4, np.nan], [np.nan, np.nan]]))
    assert (some.mean, some.count) == (0.4, 1)


def test_a_ratio_to_nothing_is_none():
    values = np.asarray([[0.2], [0.3], [0.4]])
    assert bootstrap_ratio(values, np.asarray([[0.1], [-0.1], [0.05]])).count == 0
    twice = bootstrap_ratio(values, values / 2)
    assert (twice.mean, twice.low, twice.high, twice.count) == (2, 2, 2, 3)


def test_pairs_tell_apart_what_their_own_intervals_do_not():
    prompts = np.random.default_rng(1).normal(0.5, 0.2, (10, 2))
    word, embedding = bootstrap(prompts), bootstrap(prompts + 0.02)
    assert embedding.low < word.high
    difference = bootstrap(prompts + 0.02 - prompts)
    assert (difference.low, difference.high) == pytest.approx((0.02, 0.02))
