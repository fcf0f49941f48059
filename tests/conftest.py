"""A mark for each folder's tests, and the real ComfyUI that those of tests/host and tests/browser share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.small_checkpoints import SMALL_FAMILIES, SMALL_SDXL, SMALL_VISION, small_world
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.process import Host, make_base, running_host

if TYPE_CHECKING:
    from comfy_host.client import Client

# What each folder's tests need; pyproject.toml says what the marks mean.
MARKS = {
    "core": ("core",),
    "nodes": ("comfyui",),
    "host": ("comfyui",),
    "browser": ("comfyui", "browser"),
    "backends": ("comfyui",),
    "benchmarks": ("comfyui", "slow"),
}
# On a machine that does other things as well, two threads on so small a model wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by its folder."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        for mark in MARKS[folder]:
            item.add_marker(mark)


@pytest.fixture(scope="session")
def small_world_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of benchmarks/small_world, an SDXL in miniature that knows simple drawings."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return small_world(comfyui_tree(), given_interpreter() or Path(sys.executable), folder)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, small_world_file: Path) -> Iterator[Host]:
    """ComfyUI with this pack and one checkpoint, the small world."""
    tree = comfyui_tree()
    python = given_interpreter() or Path(sys.executable)
    base = tmp_path_factory.mktemp("comfyui")
    make_base(base, packs=[SMALL_SDXL, SMALL_FAMILIES, SMALL_VISION])
    shutil.copy(small_world_file, base / "models" / "checkpoints")
    with running_host(tree, python, base) as running:
        yield running


@pytest.fixture
def client(host: Host) -> Iterator[Client]:
    """A websocket session with the host."""
    # Needs packages that tests/core does without.
    from comfy_host.client import Client

    with Client(host) as session:
        yield session


@pytest.fixture(scope="session")
def checkpoint(small_world_file: Path) -> str:
    """The name of the checkpoint in the loader's list."""
    return small_world_file.name
