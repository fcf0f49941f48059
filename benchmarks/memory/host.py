"""Puts the host on the path, and the pack under a name of its own; import it before anything of either."""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def use_host(tree: Path) -> None:
    """Make the ComfyUI in `tree` importable, told that there is no GPU, and the pack as `dti_pack`."""
    warnings.simplefilter("ignore")  # what the host's packages say while they load
    sys.path[:0] = [str(tree), str(REPO / "benchmarks")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    comfy.cli_args.args.use_pytorch_cross_attention = True
    pack = types.ModuleType("dti_pack")
    pack.__path__ = [str(REPO)]
    sys.modules["dti_pack"] = pack
