"""A small SANA pipeline, and images to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def sana_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizer")


@pytest.fixture
def sana(sana_folder: Path) -> Any:
    from tests.backends.small_sana import small_sana  # needs diffusers

    return small_sana(sana_folder)


@pytest.fixture
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape, generator=generator) for shape in ((96, 128, 3), (150, 90, 3))]
