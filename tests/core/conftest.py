"""An oracle that tests/core does without where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def geoopt_sphere() -> Any:
    """geoopt's own sphere, float64."""
    return pytest.importorskip("geoopt.manifolds", reason="geoopt is the oracle and is not installed").Sphere()
