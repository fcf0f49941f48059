"""Puts the host on the path, and the pack under a name of its own; import it before anything of either."""

from __future__ import annotations

import sys
import types
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def use_host(tree: Path) -> None:
    """Make the ComfyUI in `tree` importable, told that there is no GPU, and the pack as `dti_pack`."""
    sys.path += [str(tree), str(REPO / "benchmarks")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    # As the host loads it, under a name of its own, so that its `nodes` never meets the host's.
    pack = types.ModuleType("dti_pack")
    pack.__path__ = [str(REPO)]
    sys.modules.setdefault("dti_pack", pack)
