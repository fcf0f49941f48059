"""The picture of a run: its curves, and which of its columns it shows."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest


@pytest.mark.parametrize(
    ("losses", "ticks"),
    [
        ([], ["0", "0.5", "1"]),
        ([float("nan")], ["0", "0.5", "1"]),
        ([0.5, float("inf")], None),
        ([0.0], None),
        ([0.11, 0.19, 0.35], ["0.1", "0.2", "0.3", "0.4"]),
        ([3e30, 1.0], None),
    ],
)
def test_curves_have_round_ticks_around_their_values(losses, ticks):
    from dti_pack.nodes.run_picture.curves import _ticks, draw_curves

    finite = [loss for loss in losses if abs(loss) < float("inf")]
    found = _ticks(finite)
    assert found[0] <= min(finite, default=0.0) and found[-1] >= max(finite, default=1.0) and 2 <= len(found) <= 7
    assert ticks is None or [f"{tick:.4g}" for tick in found] == ticks
    picture = draw_curves("loss", {"": list(enumerate(losses, 1))}, max(1, len(losses)), (300, 200))
    assert picture.size == (300, 200)
    colours = {colour for _, colour in picture.getcolors(300 * 200)}
    assert any(red > green + 100 for red, green, _ in colours) == bool(finite)  # the curve


def test_a_picture_keeps_the_first_and_the_last_of_its_columns():
    from dti_pack.nodes.run_picture.drawing import spread

    assert spread(list("abc"), 6) == list("abc")
    assert "".join(spread(list("abcdefghijk"), 6)) == "acegik"
    assert "".join(spread(list("abcdefghijk"), 2)) == "ak"


def history_of(validation=None):
    from dti_pack.nodes.run_picture.history import RunHistory

    return RunHistory(10, 1, "the start", {"": validation} if validation else None)


def step(number, loss=0.5, angle=1.0):
    return SimpleNamespace(step=number, loss=loss, angle_to_prior={"clip_l": angle})


def resumed_at_three(angles):
    """A state of a run that measured at the start and at step 2."""
    from dti_pack.dti_core.training.validation import ValidationState

    measured = ValidationState((0, 2), (0.9, 0.7), None)
    return SimpleNamespace(losses=(0.8, math.nan, 0.6), angles={"clip_l": angles}, validation=measured)


def test_after_a_resume_the_curves_are_those_of_the_whole_run():
    from dti_pack.dti_core.training.validation import Validation
    from dti_pack.nodes.run_picture import drawing

    whole = history_of()
    for number, (loss, angle) in enumerate(((0.8, 1.0), (math.nan, 2.0), (0.6, 3.0), (0.4, 4.0)), start=1):
        whole.add(step(number, loss, angle), 1.0, 1.0)
    validation, resumed = Validation(lambda vectors, rows: 0.5, every=2), resumed_at_three((1.0, 2.0, 3.0))
    history = history_of(validation)
    history.go_on_from(resumed)
    validation.go_on_from(resumed.validation)
    history.add(step(4, 0.4, 4.0), training=2.0, elapsed=5.0)
    assert history.numbers == whole.numbers == [1, 2, 3, 4]
    assert (history.smoothed, history.angles) == (whole.smoothed, whole.angles)
    assert drawing._losses(history)["held out"] == [(0, 0.9), (2, 0.7)]
    # Its pace is that of its own steps.
    assert history.lines.startswith("step 4 of 10   mean loss 0.5") and "2 s/image   0:30 left" in history.lines
    assert history.lines.endswith("validation loss 0.7000 at step 2")
    assert drawing.draw_run(history, (), (), 2).size == (drawing.WIDTH, drawing.CURVES_HEIGHT)


def test_of_a_state_without_angles_they_begin_where_it_goes_on():
    history = history_of()
    history.go_on_from(SimpleNamespace(losses=(0.8, 0.7), angles={}, validation=None))
    history.add(step(3, angle=7.0), 1.0, 1.0)
    assert history.numbers == [1, 2, 3]
    assert [math.isnan(angle) for angle in history.angles["clip_l"]] == [True, True, False]
