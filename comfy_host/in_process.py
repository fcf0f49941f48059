"""A ComfyUI and this pack as modules of this process, for what a running server cannot show."""

from __future__ import annotations

import sys
import types
from pathlib import Path

from comfy_host.environment import REPO


def use_pack() -> None:
    """Make the pack importable as `dti_pack`: as the host loads it, so that its `nodes` never meets the host's."""
    pack = types.ModuleType("dti_pack")
    pack.__path__ = [str(REPO)]
    sys.modules.setdefault("dti_pack", pack)


def use_host(tree: Path, cpu: bool = True) -> None:
    """Make the ComfyUI in `tree` importable too, without its server; cpu: told that there is no GPU."""
    use_pack()
    sys.path += [str(tree), str(REPO / "benchmarks")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = cpu
