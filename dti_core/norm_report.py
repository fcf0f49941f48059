"""Is a vector as long as a word? Norm, verdict, angle to the initializer and nearest words, for one text encoder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from . import sphere
from .token_text import WORD_END, token_text
from .vocabulary import Neighbour, Vocabulary

# Times the vocabulary's mean norm. By Lemma 1 the position's share in what attention reads falls as 1/norm: at
# twice the mean to half of a word's, at five times to a fifth. The authors' probe (kunheek/dti,
# positional_attenuation.ipynb) reads CLIP-L's position without error up to 2.6 times the mean, in 88 % of cases
# at 5.2 times and in 31 % at 10. Ordinary words of both SDXL encoders end at 1.6 times.
LONG = 2.0
VERY_LONG = 5.0
# The mirror image: below half of the mean the position outweighs the word. With the vocabulary's shortest norm the
# paper's Table 3 loses both subject and prompt.
SHORT = 0.5

LEVELS = ("zero", "short", "ordinary", "long", "very long")

# Beyond as many vectors, the report has one line of nearest words for each.
FEW_VECTORS = 8


@dataclass(frozen=True)
class Verdict:
    """What a norm means for prompts: `level` is "ordinary", "long", "very long", "short" or "zero"."""

    level: str
    reason: str


@dataclass(frozen=True)
class VectorReport:
    """One vector: percentile among the real words' norms, angle to the initializer in degrees where there is one.

    `by_cosine` is empty for a zero vector, which has no direction.
    """

    norm: float
    times_mean: float
    percentile: float
    verdict: Verdict
    initializer_angle: float | None
    by_cosine: tuple[Neighbour, ...]
    by_distance: tuple[Neighbour, ...]


@dataclass(frozen=True)
class EncoderReport:
    """One encoder: its vocabulary's norms, and a report per vector."""

    n_words: int
    mean: float
    std: float
    min: float
    max: float
    vectors: tuple[VectorReport, ...]


def norm_report(
    vocabulary: Vocabulary, vectors: Tensor, initializer_ids: Sequence[int] | None = None, k: int = 5
) -> EncoderReport:
    """Compare `vectors` [n, dim] with the words of `vocabulary`.

    Args:
        initializer_ids: tokens of the initializer word; with fewer than `n` they are repeated in order, as
            training does.
        k: how many nearest words of each kind.

    Raises:
        ValueError: another width, or a `k` or ids that the vocabulary does not have.
    """
    by_cosine = vocabulary.nearest(vectors, k, "cosine")
    by_distance = vocabulary.nearest(vectors, k, "euclidean")
    rows = vectors.detach().to("cpu", torch.float32)
    angles = _angles(rows, None if initializer_ids is None else vocabulary.rows(initializer_ids).cpu())
    word_norms = vocabulary.norms[vocabulary.is_word].cpu()
    reports = []
    for i, norm in enumerate(rows.norm(dim=-1).tolist()):
        reports.append(
            VectorReport(
                norm=norm,
                times_mean=norm / vocabulary.mean,
                percentile=100 * float((word_norms <= norm).float().mean()),
                verdict=norm_verdict(norm, vocabulary.mean),
                initializer_angle=angles[i],
                by_cosine=by_cosine[i] if norm > 0 else (),
                by_distance=by_distance[i],
            )
        )
    return EncoderReport(
        len(word_norms), vocabulary.mean, vocabulary.std, vocabulary.min, vocabulary.max, tuple(reports)
    )


def norm_verdict(norm: float, mean: float) -> Verdict:
    """What a vector of length `norm` does to prompts where words have `mean`, with the reason in plain words."""
    times = norm / mean
    found = f"norm {norm:.3g} is {times_text(times)}x the vocabulary mean {mean:.3g}"
    if norm == 0:
        return Verdict("zero", "norm 0: the vector has no direction and means nothing; train it again")
    if times < SHORT:
        return Verdict("short", f"{found}: shorter than ordinary words, its position outweighs it; try it rescaled")
    if times <= LONG:
        return Verdict("ordinary", f"{found}: close to an ordinary word")
    if times <= VERY_LONG:
        return Verdict(
            "long", f"{found}: longer than ordinary words, less of its position is seen (Effect I); try it rescaled"
        )
    return Verdict(
        "very long", f"{found}: far longer than ordinary words, little of its position is seen (Effect I); "
        "try it rescaled",
    )  # fmt: skip


def summary(report: EncoderReport) -> str:
    """What the norms mean in one line: the verdict of one vector, or how many have which."""
    if len(report.vectors) == 1:
        return report.vectors[0].verdict.reason
    norms = [vector.norm for vector in report.vectors]
    ends = (min(norms), max(norms))
    norm, times = (
        " to ".join(dict.fromkeys(shown))
        for shown in ([f"{end:.3g}" for end in ends], [f"{times_text(end / report.mean)}x" for end in ends])
    )
    levels = Counter(vector.verdict.level for vector in report.vectors)
    counted = ", ".join(f"{levels[level]} {level}" for level in LEVELS if level in levels)
    return (
        f"{len(norms)} vectors of norm {norm}, {times} the vocabulary mean {report.mean:.3g}: {counted}"
    )


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
            f"{angle:<16} {vector.verdict.level}"
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


def _angles(rows: Tensor, initializer: Tensor | None) -> list[float | None]:
    if initializer is None:
        return [None] * len(rows)
    repeated = initializer[torch.arange(len(rows)) % len(initializer)]
    return [_degrees(row, start) for row, start in zip(rows, repeated, strict=True)]


def _degrees(a: Tensor, b: Tensor) -> float | None:
    if not (bool(a.any()) and bool(b.any())):
        return None
    return math.degrees(float(sphere.dist(sphere.projx(a), sphere.projx(b))))
