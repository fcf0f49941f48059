"""The pack as a package, and judges in miniature."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from comfy_host.in_process import use_pack

use_pack()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what torchvision says while it loads
    from tests.benchmarks.dreambooth import tiny_judges


@pytest.fixture(scope="session")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with DINOv2."""
    folder = tmp_path_factory.mktemp("models") / "dino"
    tiny_judges.write_dino(folder)
    return folder


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SigLIP."""
    folder = tmp_path_factory.mktemp("models") / "siglip"
    tiny_judges.write_siglip(folder)
    return folder
