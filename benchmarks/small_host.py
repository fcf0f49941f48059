"""A ComfyUI with the small world in it and images of one of its subjects, for what is measured in a real host."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from benchmarks.demo import png
from benchmarks.small_checkpoints import SMALL_SDXL, small_world
from benchmarks.small_world.subjects import SUBJECTS, pictures_of
from comfy_host.client import Client
from comfy_host.environment import comfyui_tree, comfyui_version, given_interpreter
from comfy_host.graphs import Graph, train
from comfy_host.process import make_base, running_host

SUBJECT = SUBJECTS[0]
FOLDER = "subject"
# Of the memory plans those that compute in ways of their own.
PLANS = ("auto", "recompute all blocks", "stream all")
Vectors = dict[str, Tensor]  # by encoder key


@dataclass(frozen=True)
class SmallHost:
    """What starts a ComfyUI on a base folder of our own. checkpoint: the name of the small world in it."""

    tree: Path
    python: Path
    base: Path
    checkpoint: str

    @property
    def version(self) -> str:
        return comfyui_version(self.tree)

    @contextmanager
    def started(self, *flags: str) -> Iterator[Client]:
        """ComfyUI with these flags, for as long as it is needed."""
        # The nodes of paid services take a third of a start.
        options = ["--disable-api-nodes", *flags]
        with running_host(self.tree, self.python, self.base, options) as host, Client(host) as client:
            yield client

    def training(self, name: str, **settings: Any) -> Graph:
        """DTI Train on the images, under that name."""
        return train(self.checkpoint, FOLDER, **{"initializer": SUBJECT.word, **settings, "name": name})

    def vectors(self, name: str) -> Vectors:
        """What was trained under that name."""
        return load_file(self._file(name))

    def has(self, name: str) -> bool:
        """Whether the result of that name is there."""
        return self._file(name).is_file()

    def _file(self, name: str) -> Path:
        return self.base / "models" / "embeddings" / f"{name}.safetensors"


def make_small_host(base: Path, packs: Sequence[Path] = ()) -> SmallHost:
    """Fill the base folder: the pack and these, the small world, the images. DTI_COMFYUI names ComfyUI."""
    # So small a model is no faster on more threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tree, python = comfyui_tree(), given_interpreter() or Path(sys.executable)
    make_base(base, packs=[SMALL_SDXL, *packs])
    add_images(base)
    return SmallHost(tree, python, base, small_world(tree, python, base / "models" / "checkpoints").name)


def add_images(base: Path) -> None:
    """Put images of SUBJECT into the input folder of a base folder."""
    folder = base / "input" / FOLDER
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures_of(SUBJECT), start=1):
        (folder / f"{number}.png").write_bytes(png(picture))
