"""The host's modules, and judges in miniature."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from comfy_host.environment import comfyui_tree
from comfy_host.in_process import use_host

sys.path.append(str(Path(__file__).parent))
use_host(comfyui_tree())
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the host's packages say while they load
    import tiny


@pytest.fixture(scope="session")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with DINOv2."""
    folder = tmp_path_factory.mktemp("models") / "dino"
    tiny.write_dino(folder)
    return folder


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SigLIP."""
    folder = tmp_path_factory.mktemp("models") / "siglip"
    tiny.write_siglip(folder)
    return folder
