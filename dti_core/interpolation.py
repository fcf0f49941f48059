"""Between two embeddings, and amid several.

An embedding's vector is a direction on the unit sphere times a norm. `slerp` and `mix` move on the sphere
and interpolate norms apart, which is what the paper does between concepts (arXiv 2512.13672, section 4 and
Figure 4); `lerp` is the straight line through space, for comparison. Figure 15's other options follow:
"SLERP with adjusted norms" is `slerp`, "SLERP with normalization" is `slerp` of embeddings that
`methods.adjust.rescale` has given one norm. All work row by row and in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .embedding import ConceptEmbedding
from .merging import check_alike, merged
from .sphere import dist, expmap, logmap, projx

# Where the paper samples the way between two concepts (Figure 4).
FIGURE_4_RATIOS = (0.0, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 1.0)

Ratio = float | Mapping[str, float]

# Vectors are stored as float32, so opposite ones are opposite to within its rounding.
OPPOSITE = 4 * torch.finfo(torch.float32).eps

MEAN_TOLERANCE = 1e-12  # radians
MEAN_STEPS = 1000


def slerp(a: ConceptEmbedding, b: ConceptEmbedding, t: Ratio, name: str) -> ConceptEmbedding:
    """From `a` (t = 0) to `b` (t = 1): directions along the great circle, norms linearly.

    The ends are exact, and equal embeddings give themselves.

    Args:
        t: in [0, 1]; a number, or one for every encoder key.
        name: of the result.

    Raises ValueError where the embeddings differ in encoders or number of vectors, where a vector is zero or
    two are antipodal, and for a `t` that is out of range or does not name every encoder.
    """
    return _interpolated("slerp", _slerp_rows, a, b, t, name)


def lerp(a: ConceptEmbedding, b: ConceptEmbedding, t: Ratio, name: str) -> ConceptEmbedding:
    """(1 - t) a + t b, component by component. Shortens vectors on the way. Otherwise as `slerp`."""
    return _interpolated("lerp", _lerp_rows, a, b, t, name)


def mix(embeddings: Sequence[ConceptEmbedding], weights: Sequence[float], name: str) -> ConceptEmbedding:
    """Weighted Frechet mean: per row, the direction with the least weighted sum of squared angles to all.

    For two embeddings this is `slerp` at the second's share of the weight. Norms are averaged.

    Raises ValueError where the embeddings are not alike, for weights that are negative, not finite, all zero or
    not one for each, and where directions lie in no common open hemisphere, so that the mean need not be unique
    (Buss and Fillmore, Spherical averages, ACM Transactions on Graphics 20(2), 2001).
    """
    _check_weights(weights, len(embeddings))
    check_alike(embeddings)
    used = [(e, weight / sum(weights)) for e, weight in zip(embeddings, weights, strict=True) if weight > 0]
    shares = torch.tensor([share for _, share in used], dtype=torch.float64).unsqueeze(-1)
    vectors = {}
    for key in embeddings[0].vectors:
        x, lengths = _polar(torch.stack([e.vectors[key] for e, _ in used], dim=1), f"{key} of the embeddings")
        vectors[key] = (_frechet_mean(x, shares, key) * (shares * lengths).sum(dim=-2)).float()
    notes = {
        "dti.operation": "weighted Frechet mean",
        "dti.weights": ", ".join(f"{weight:g}" for weight in weights),
    }
    return merged(name, vectors, embeddings, notes)


def _interpolated(
    operation: str,
    between: Callable[[Tensor, Tensor, float, str], Tensor],
    a: ConceptEmbedding,
    b: ConceptEmbedding,
    t: Ratio,
    name: str,
) -> ConceptEmbedding:
    check_alike([a, b])
    ratios = _ratios(t, a)
    vectors = {
        key: between(a.vectors[key], b.vectors[key], ratio, f"{key} of {a.name!r} and {b.name!r}")
        for key, ratio in ratios.items()
    }
    shown = [f"{ratios[key]:g}" if isinstance(t, float | int) else f"{key} {ratios[key]:g}" for key in ratios]
    return merged(name, vectors, [a, b], {"dti.operation": operation, "dti.t": ", ".join(dict.fromkeys(shown))})


def _slerp_rows(a: Tensor, b: Tensor, t: float, what: str) -> Tensor:
    """Rows [n_vectors, dim] between those of `a` and `b`, float32. `what` names them in errors."""
    (x, x_length), (y, y_length) = _polar(a, what), _polar(b, what)
    if bool(((x + y).norm(dim=-1) <= OPPOSITE).any()):
        raise ValueError(
            f"{what}: two directions are antipodal (opposite), and no way between them is the shortest; "
            "choose embeddings less than 180 degrees apart, or lerp."
        )
    if t in (0.0, 1.0):
        return b if t else a
    angle = dist(x, y, keepdim=True) / math.pi
    # sin(t angle) / sin(angle), written so that it goes to t where the angle goes to 0.
    towards = t * torch.sinc(t * angle) / torch.sinc(angle)
    stay = (1 - t) * torch.sinc((1 - t) * angle) / torch.sinc(angle)
    return ((stay * x + towards * y) * torch.lerp(x_length, y_length, t)).float()


def _lerp_rows(a: Tensor, b: Tensor, t: float, what: str) -> Tensor:
    rows = ((1 - t) * a.double() + t * b.double()).float()
    if not bool(rows.any(dim=-1).all()):
        raise ValueError(f"{what}: at t = {t:g} the straight line gives a vector of norm zero; choose another t.")
    return rows


def _frechet_mean(x: Tensor, shares: Tensor, key: str) -> Tensor:
    """Mean [rows, dim] of unit points `x` [rows, points, dim] by shares [points, 1] that sum to 1 (Karcher's way)."""
    _check_hemisphere(x, key)
    mean = projx((shares * x).sum(dim=-2, keepdim=True))
    for _ in range(MEAN_STEPS):
        step = (shares * logmap(mean.expand_as(x), x)).sum(dim=-2, keepdim=True)
        if bool((step.norm(dim=-1) <= MEAN_TOLERANCE).all()):
            return mean.squeeze(-2)
        mean = projx(expmap(mean, step))
    raise ValueError(f"{key}: {_too_spread()}")


def _check_hemisphere(x: Tensor, key: str) -> None:
    """Look for the pole of an open hemisphere: the least vector whose product with every point is 1."""
    pole = torch.linalg.pinv(x).sum(dim=-1, keepdim=True)
    margin = (x @ pole).squeeze(-1).amin(dim=-1) / pole.norm(dim=(-2, -1)).clamp_min(1e-300)
    if not bool((margin > OPPOSITE / 2).all()):
        raise ValueError(f"{key}: {_too_spread()}")


def _too_spread() -> str:
    return (
        "the directions are spread too far to have one mean, some lie opposite to others; "
        "leave one out, or mix two and two."
    )


def _polar(rows: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Directions [..., dim] and norms [..., 1] in float64."""
    lengths = rows.double().norm(dim=-1, keepdim=True)
    if not bool((lengths > 0).all()):
        raise ValueError(f"{what}: a vector has norm zero and so no direction; choose another embedding.")
    return rows.double() / lengths, lengths


def _ratios(t: Ratio, embedding: ConceptEmbedding) -> dict[str, float]:
    keys = list(embedding.vectors)
    ratios = dict(t) if isinstance(t, Mapping) else dict.fromkeys(keys, t)
    if set(ratios) != set(keys):
        raise ValueError(
            f"t is given for {', '.join(ratios)}, but the embeddings have {', '.join(keys)}; give one for each."
        )
    for key, ratio in ratios.items():
        if not 0 <= ratio <= 1:
            raise ValueError(f"t is {ratio} for {key}; it must be from 0 (the first embedding) to 1 (the second).")
    return {key: float(ratios[key]) for key in keys}


def _check_weights(weights: Sequence[float], count: int) -> None:
    if count == 0 or len(weights) != count:
        raise ValueError(
            f"got {count} embeddings and {len(weights)} weights; give at least one embedding, and a weight for each."
        )
    if not (all(math.isfinite(weight) and weight >= 0 for weight in weights) and sum(weights) > 0):
        shown = ", ".join(f"{weight:g}" for weight in weights)
        raise ValueError(f"the weights are {shown}; they must be 0 or more, finite, and not all 0.")
