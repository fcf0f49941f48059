"""Algorithm 1 of Directional Textual Inversion, written out for one row in float64, as the paper prints it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def update(v: Vector, g_data: Vector, mu: Vector, kappa: float, eta: float) -> Vector:
    """Lines 7 to 10: v_k [dim] to v_{k+1} [dim]."""
    g_euc = g_data - kappa * mu
    g = g_euc - (g_euc @ v) * v
    g_scaled = g / np.linalg.norm(g)
    stepped = v - eta * g_scaled
    return stepped / np.linalg.norm(stepped)
