"""Geometry of the unit sphere.

Every function works over the last dimension; leading dimensions are a batch of independent points. `x` and
`y` are points (unit rows), `u` a tangent or ambient vector at `x`. Names and meanings follow geoopt and
Manopt. Angles are in radians and come from atan2: acos loses half of the digits near 0 and pi.
"""

from __future__ import annotations

import torch
from torch import Tensor


def projx(x: Tensor) -> Tensor:
    """Project `x` [..., dim] onto the sphere by scaling each row to norm 1.

    Raises ValueError for a row of norm zero or with non-finite values, which has no direction.
    """
    norm: Tensor = x.norm(dim=-1, keepdim=True)
    if not bool((norm.isfinite() & (norm > 0)).all()):
        raise ValueError(
            f"cannot project rows with norms {_listed(norm)} onto the sphere: every norm must be finite and "
            "above 0; choose another vector for the offending row."
        )
    return x / norm


def egrad2rgrad(x: Tensor, u: Tensor) -> Tensor:
    """Riemannian gradient at `x` of the Euclidean gradient `u`, [..., dim]: u - <u, x> x (eq. 2, left)."""
    return u - (u * x).sum(dim=-1, keepdim=True) * x


def retr(x: Tensor, u: Tensor) -> Tensor:
    """Retraction (x + u) / |x + u| of the tangent step `u` at `x`, both [..., dim] (eq. 2, right)."""
    # A tangent step only lengthens x, so there is no zero to look for, and no device to wait for.
    moved = x + u
    norm: Tensor = moved.norm(dim=-1, keepdim=True)
    return moved / norm


def expmap(x: Tensor, u: Tensor) -> Tensor:
    """Point reached from `x` after |u| radians along the great circle of the tangent `u`; both [..., dim]."""
    angle = u.norm(dim=-1, keepdim=True)
    return torch.cos(angle) * x + torch.sinc(angle / torch.pi) * u


def logmap(x: Tensor, y: Tensor) -> Tensor:
    """Tangent vector at `x` that points to `y` and is dist(x, y) long; inverse of expmap; all [..., dim].

    Raises ValueError for antipodal points: all great circles through them are equally short.
    """
    if bool(((x + y).norm(dim=-1) <= 4 * torch.finfo(x.dtype).eps).any()):
        raise ValueError(
            "logmap got two antipodal points, which have no single shortest path between them; "
            "pass points less than pi apart."
        )
    tangent = egrad2rgrad(x, y - x)
    length = tangent.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, tangent * (dist(x, y, keepdim=True) / length), tangent)


def dist(x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
    """Angle between unit rows `x` and `y` [..., dim], in [0, pi], exact near both ends. Shape [...]."""
    chord = (x - y).norm(dim=-1, keepdim=keepdim)
    return 2 * torch.atan2(chord, (x + y).norm(dim=-1, keepdim=keepdim))


def check_point_on_sphere(x: Tensor, atol: float = 1e-5) -> tuple[bool, str | None]:
    """Whether every row of `x` [..., dim] has norm 1 within `atol`; where not, the reason in words."""
    norm = x.norm(dim=-1)
    if bool(((norm - 1).abs() <= atol).all()):
        return True, None
    return False, f"row norms are {_listed(norm)}, not 1 within {atol:g}"


def _listed(norm: Tensor) -> str:
    values = norm.flatten().tolist()
    return ", ".join(f"{value:.6g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
