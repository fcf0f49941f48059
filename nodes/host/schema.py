"""Schema words that newer hosts know and older ones refuse."""

from __future__ import annotations

import inspect

from comfy_api.latest import io

# Folds an input away; from 0.9.2 on.
ADVANCED = {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}
