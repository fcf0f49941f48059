"""Makes the ComfyUI tree importable: the trained modules are the host's own classes."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

ENVIRONMENT = "DTI_COMFYUI"


def start_log(quiet: bool = False) -> None:
    """The log of a command; call it after use_comfyui, which starts the host's own log."""
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", force=True)


def use_comfyui(folder: str | Path | None = None) -> Path:
    """Puts ComfyUI first on sys.path; the folder comes from the argument or from DTI_COMFYUI."""
    named = folder or os.environ.get(ENVIRONMENT)
    if not named:
        raise SystemExit(f"Where is ComfyUI? Give --comfyui or set {ENVIRONMENT} to its folder.")
    root = Path(named).resolve()
    if not (root / "comfy" / "supported_models.py").is_file():
        raise SystemExit(f"{root} is not a ComfyUI folder: it has no comfy/supported_models.py.")
    # First, because this repository has a package called nodes and so has the host.
    sys.path[:0] = [str(root), str(Path(__file__).resolve().parents[1])]  # the second for small_sdxl
    import torch
    from comfy.cli_args import args

    # The host looks for a GPU while it is imported, and fails unless it is told before that there is none.
    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True  # on a CPU the host's default is slower, and not for training
    return root
