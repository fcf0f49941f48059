"""Keywords of a node's schema that newer hosts know and older ones refuse."""

from __future__ import annotations

import inspect

from comfy_api.latest import io

# Folds an input away; from 0.9.2 on.
ADVANCED = {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}

_HAS_ALIASES = "search_aliases" in inspect.signature(io.Schema.__init__).parameters


def search_aliases(*names: str) -> dict[str, list[str]]:
    """Other names by which the search finds a node; from 0.10 on."""
    return {"search_aliases": list(names)} if _HAS_ALIASES else {}
