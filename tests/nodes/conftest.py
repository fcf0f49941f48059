"""The host's modules in this process, for what a running server cannot show: gradients, weights, exact losses.

The pack is loaded as the host loads it, under a name of its own, so that its `nodes` never meets the host's.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.small_checkpoints import random_checkpoint
from comfy_host.environment import comfyui_tree, given_interpreter
from comfy_host.in_process import use_host, use_pack

use_pack()


@pytest.fixture(scope="session")
def comfy_modules() -> None:
    """Put the host on the path, without its server and told that there is no GPU."""
    use_host(comfyui_tree())


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small SDXL with random weights that predicts noise, as most checkpoints do."""
    file = tmp_path_factory.mktemp("checkpoint") / "small_sdxl_random.safetensors"
    random_checkpoint(comfyui_tree(), given_interpreter() or Path(sys.executable), file)
    return file


@pytest.fixture(scope="session")
def load_models(comfy_modules: None) -> Callable[[Path], SimpleNamespace]:
    """Loads model, clip and vae from a file as a node loads them: in inference mode."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        import comfy.sd
        import folder_paths
        import small_sdxl  # noqa: F401

    def load(file: Path) -> SimpleNamespace:
        with torch.inference_mode():
            model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
                str(file), embedding_directory=folder_paths.get_folder_paths("embeddings")
            )
        return SimpleNamespace(model=model, clip=clip, vae=vae)

    return load


@pytest.fixture(scope="session")
def models(load_models: Callable[[Path], SimpleNamespace], small_checkpoint: Path) -> SimpleNamespace:
    """model, clip and vae of the small SDXL."""
    return load_models(small_checkpoint)


@pytest.fixture
def node_mode() -> Iterator[None]:
    """What nodes run under."""
    import torch

    with torch.inference_mode():
        yield
