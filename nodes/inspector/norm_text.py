"""An encoder's norm report as text: a line, and a table."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

from ...dti_core.analysis.norms import LEVELS, EncoderReport, norm_level
from ...dti_core.analysis.token_text import WORD_END, token_text
from ...dti_core.vocabulary import Neighbour

# Beyond as many vectors, the table has one line of nearest words for each.
FEW_VECTORS = 8


def verdict(norm: float, mean: float) -> str:
    """What a vector of this norm means to its encoder, in a sentence, where the vocabulary's words have `mean`."""
    found = f"norm {norm:.3g} is {times_text(norm / mean)}x the vocabulary mean {mean:.3g}"
    meaning = {
        "zero": "the vector has no direction and means nothing; train it again",
        "short": "below ordinary words, its position outweighs it; compare it rescaled",
        "ordinary": "close to an ordinary word",
        "long": "above ordinary words, less of its position is seen (Effect I); compare it rescaled",
        "very long": "far above ordinary words, little of its position is seen (Effect I); compare it rescaled",
    }
    level = norm_level(norm, mean)
    return f"norm 0: {meaning[level]}" if level == "zero" else f"{found}: {meaning[level]}"


def summary(report: EncoderReport) -> str:
    """What the norms mean in one line: the verdict of one vector, or how many have which."""
    if len(report.vectors) == 1:
        return verdict(report.vectors[0].norm, report.mean)
    norms = [vector.norm for vector in report.vectors]
    ends = (min(norms), max(norms))
    norm, times = (
        " to ".join(dict.fromkeys(shown))
        for shown in ([f"{end:.3g}" for end in ends], [f"{times_text(end / report.mean)}x" for end in ends])
    )
    levels = Counter(vector.level for vector in report.vectors)
    counted = ", ".join(f"{levels[level]} {level}" for level in LEVELS if level in levels)
    return f"{len(norms)} vectors of norm {norm}, {times} the vocabulary mean {report.mean:.3g}: {counted}"


def render(report: EncoderReport) -> str:
    """The report as a plain-text table; of many vectors, only the nearest word of each kind."""
    lines = [
        f"{report.n_words} words, norm {report.mean:.3g} on average (standard deviation {report.std:.2g}, "
        f"{report.min:.3g} to {report.max:.3g})",
        f"{'vector':>6} {'norm':>8} {'x mean':>7} {'percentile':>10}  {'from initializer':<16} verdict",
    ]
    for number, vector in enumerate(report.vectors, start=1):
        angle = "-" if vector.initializer_angle is None else f"{vector.initializer_angle:.1f} deg"
        lines.append(
            f"{number:>6} {vector.norm:>8.4g} {times_text(vector.times_mean):>7} {vector.percentile:>10.1f}  "
            f"{angle:<16} {vector.level}"
        )
    lines.append(f"{'vector':>6}  {'nearest by cosine':<30}  nearest by distance")
    has_ends = any((n.word or "").endswith(WORD_END) for v in report.vectors for n in (*v.by_cosine, *v.by_distance))
    for number, vector in enumerate(report.vectors, start=1):
        shown = None if len(report.vectors) <= FEW_VECTORS else 1
        for near, close in zip_longest(vector.by_cosine[:shown], vector.by_distance[:shown]):
            lines.append(f"{number:>6}  {_shown(near, has_ends):<30}  {_shown(close, has_ends)}")
    return "\n".join(lines)


def _shown(neighbour: Neighbour | None, has_ends: bool) -> str:
    if neighbour is None:
        return ""
    token = neighbour.word
    word = f"token {neighbour.token_id}" if token is None else token_text(token)
    if token is not None and has_ends and not token.endswith(WORD_END):
        word += "-"  # "dog" is a word and "dog-" the beginning of others
    return f"{word:<22} {neighbour.value:>6.3f}"


def times_text(value: float) -> str:
    """A multiple of the mean in two figures or in whole numbers."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
