"""Hypothesis; where it is not installed, the tests that it drives are skipped and the others run."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

try:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
except ImportError:
    HealthCheck, st = MagicMock(), MagicMock()

    def given(*arguments, **named):
        return pytest.mark.skip(reason="hypothesis draws the examples and is not installed")

    def settings(**named):
        return lambda test: test


__all__ = ["HealthCheck", "given", "settings", "st"]
