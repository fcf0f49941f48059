"""The host's modules in this process, for a card that is not there."""

import pytest

from benchmarks.memory.host import use_host
from comfy_host.environment import comfyui_tree


@pytest.fixture(scope="session", autouse=True)
def comfy_modules() -> None:
    """Put the host on the path, without its server and told that there is no GPU."""
    use_host(comfyui_tree())
