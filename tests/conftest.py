"""The real ComfyUI that the tests of tests/host and tests/browser share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfy_host.client import Client
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.process import SMALL_SDXL, Host, make_base, random_checkpoint, running_host

# On a machine that does other things as well, two threads on so small a model wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL_CHECKPOINT = "small_sdxl_random.safetensors"


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small SDXL with random weights."""
    file = tmp_path_factory.mktemp("checkpoint") / SMALL_CHECKPOINT
    random_checkpoint(comfyui_tree(), given_interpreter() or Path(sys.executable), file)
    return file


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> Iterator[Host]:
    """ComfyUI with this pack and one checkpoint, a small SDXL with random weights."""
    tree = comfyui_tree()
    python = given_interpreter() or Path(sys.executable)
    base = tmp_path_factory.mktemp("comfyui")
    make_base(base, packs=[SMALL_SDXL])
    (base / "models" / "checkpoints" / SMALL_CHECKPOINT).write_bytes(small_checkpoint.read_bytes())
    with running_host(tree, python, base) as running:
        yield running


@pytest.fixture
def client(host: Host) -> Iterator[Client]:
    """A websocket session with the host."""
    with Client(host) as session:
        yield session


@pytest.fixture(scope="session")
def checkpoint() -> str:
    """The name of the small checkpoint in the loader's list."""
    return SMALL_CHECKPOINT
