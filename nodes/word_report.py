"""The ranking of words as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..dti_core.training.word_ranking import RankedWord

SHOWN = 10


def word_report(words: Sequence[RankedWord], samples: int, n_pictures: int, left_out: Sequence[str]) -> str:
    """What came of it first, then the ranking: how far each word's loss is above the best one's, in percent of that.

    words: as `ranked` gives them. left_out: those that were not measured.
    """
    best, *others = words
    near = [one.word for one in others if not one.is_apart]
    images = f"{n_pictures} image{'s' if n_pictures > 1 else ''}"
    lines = [
        f"{best.word}: the lowest loss of {len(words)} nouns, on {samples} noisy copies of {images}",
        _apart(best.word, near, len(others)),
        *(f"{number}. {_line(one, best)}" for number, one in enumerate(words[:SHOWN], start=1)),
    ]
    if len(words) > SHOWN:
        lines.append(f"the last, {len(words)}. {_line(words[-1], best)}")
    if left_out:
        lines.append(f"left out, since the text encoders do not know them whole: {', '.join(left_out)}")
    return "\n".join(lines)


def _apart(best: str, near: Sequence[str], n_others: int) -> str:
    if not near:
        return "every other noun is worse beyond the 95 % interval"
    listed = ", ".join(near[:SHOWN]) + (f" and {len(near) - SHOWN} more" if len(near) > SHOWN else "")
    if len(near) == n_others:
        return f"these images tell none of the others from it: {listed}. Choose by eye, or raise samples"
    return f"not told from it by these images (95 %): {listed}"


def _line(one: RankedWord, best: RankedWord) -> str:
    if one is best:
        return f"{one.word}  loss {one.loss:.4f}"
    above, spread = 100 * one.above / best.loss, 100 * one.spread / best.loss
    return f"{one.word}  +{above:.2f} % (+/- {spread:.2f})"
