"""Between two learned words, as in the paper's Figure 4: DTI on the great circle, TI on the straight line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.interpolation import FIGURE_4_RATIOS, lerp, slerp
from small_world.sample import Sampling, sheet
from torch import Tensor

from .world import Pictures, World

PROMPT = "a photo of a {}"
EVEN_RATIOS = tuple(n / 10 for n in range(11))
BETWEEN: dict[str, Callable[..., ConceptEmbedding]] = {"slerp": slerp, "lerp": lerp}


@dataclass(frozen=True)
class Smoothness:
    """Of a way in even steps, in the judge's embedding of things, means over sampling seeds.

    largest_step: share of the way that its largest step takes; 0.1 is even, 1 is a jump.
    detour: length of the way over the distance of its ends; 1 is straight.
    ends: angle between the ends in radians; near 0 both words show the same and the rest means nothing.
    """

    largest_step: float
    detour: float
    ends: float


def row(
    world: World,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    way: str,
    how: Sampling,
    seeds: int,
) -> tuple[Pictures, Smoothness]:
    """Pictures at the paper's ratios with the first seed, [ratios, h, w, 3], and the smoothness over all seeds."""
    ratios = sorted({*FIGURE_4_RATIOS, *EVEN_RATIOS})
    ends = ConceptEmbedding("a", dict(a)), ConceptEmbedding("b", dict(b))
    between = [BETWEEN[way](*ends, ratio, "between").vectors for ratio in ratios]
    # The same noise at every ratio: what changes is the word alone.
    painted = np.stack([world.paint_vectors([PROMPT], vectors, range(seeds), how) for vectors in between])
    figure = painted[[ratios.index(ratio) for ratio in FIGURE_4_RATIOS], 0]
    even = painted[[ratios.index(ratio) for ratio in EVEN_RATIOS]]
    embedded = [world.judge.embed(np.ascontiguousarray(even[:, seed])) for seed in range(seeds)]
    return figure, smoothness(embedded)


def smoothness(embedded: list[npt.NDArray[np.float32]]) -> Smoothness:
    """embedded: per seed, unit vectors [ratios, dim] in the order of the way."""
    largest, detour, ends = [], [], []
    for points in embedded:
        steps = _angle(points[1:], points[:-1])
        length, apart = max(float(steps.sum()), 1e-9), max(float(_angle(points[:1], points[-1:])[0]), 1e-9)
        largest.append(float(steps.max()) / length)
        detour.append(length / apart)
        ends.append(apart)
    return Smoothness(float(np.mean(largest)), float(np.mean(detour)), float(np.mean(ends)))


def _angle(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # From the chord: the arc cosine loses half of the digits where neighbours are near.
    chord = np.linalg.norm(a.astype(np.float64) - b, axis=-1)
    return np.asarray(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def save_rows(rows: list[Pictures], path: Path) -> None:
    """One row of pictures below the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(np.concatenate(rows), len(rows[0])).save(path)
