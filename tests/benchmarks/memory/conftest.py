"""The host's modules in this process, for a card that is not there."""

import warnings

import pytest

from comfy_host.environment import comfyui_tree
from comfy_host.in_process import use_host


@pytest.fixture(scope="session", autouse=True)
def comfy_modules() -> None:
    """Put the host on the path, without its server and told that there is no GPU."""
    use_host(comfyui_tree())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        import benchmarks.memory.card  # noqa: F401
