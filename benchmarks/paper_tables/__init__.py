"""The paper's tables on the small world, and what beats the paper's recipe there."""

from __future__ import annotations

import sys
import types
from pathlib import Path

# The pack is loaded under a name of its own, as the host does it, so that its `nodes` never meets the host's.
if "dti_pack" not in sys.modules:
    _pack = types.ModuleType("dti_pack")
    _pack.__path__ = [str(Path(__file__).resolve().parents[2])]
    sys.modules["dti_pack"] = _pack
