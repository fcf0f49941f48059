"""The host is shared by all tests; its embeddings are not."""

import shutil
from pathlib import Path

import pytest

from comfy_host.process import Host


@pytest.fixture(scope="module", autouse=True)
def no_words(host: Host) -> Path:
    """The embedding folder, emptied for each file of tests."""
    folder = host.base / "models" / "embeddings"
    shutil.rmtree(folder)
    folder.mkdir()
    return folder
