"""The picture of a run: its curves, and which of its columns it shows."""

from __future__ import annotations

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
    picture = draw_curves("loss", range(1, len(losses) + 1), {"": losses}, max(1, len(losses)), (300, 200))
    assert picture.size == (300, 200)
    colours = {colour for _, colour in picture.getcolors(300 * 200)}
    assert any(red > green + 100 for red, green, _ in colours) == bool(finite)  # the curve


def test_a_picture_keeps_the_first_and_the_last_of_its_columns():
    from dti_pack.nodes.run_picture.drawing import spread

    assert spread(list("abc"), 6) == list("abc")
    assert "".join(spread(list("abcdefghijk"), 6)) == "acegik"
    assert "".join(spread(list("abcdefghijk"), 2)) == "ak"
