"""The drawings that everything is trained on: scene `i` of a seed is always the same image.

python dataset.py FOLDER [--count N] renders them once, into one array file that the trainings map into memory.
"""

from __future__ import annotations

import argparse
import logging
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .drawing import draw
from .files import write_whole
from .scenes import SIZE, Scene, random_scene

COUNT = 30_000
SEED = 2026
HELD_OUT_SEED = 77  # images no training sees
_CHUNK = 500
log = logging.getLogger(__name__)


def scene_at(index: int, seed: int = SEED) -> Scene:
    return random_scene(np.random.default_rng((seed, index)))


def pictures(start: int, stop: int, seed: int = SEED) -> npt.NDArray[np.uint8]:
    """Drawn scenes [stop - start, SIZE, SIZE, 3]."""
    return np.stack([draw(scene_at(index, seed)) for index in range(start, stop)])


def _chunk(start: int, count: int) -> npt.NDArray[np.uint8]:
    return pictures(start, min(start + _CHUNK, count))


def render(path: Path, count: int = COUNT, workers: int = 2) -> None:
    """Draws all scenes into an .npy file [count, SIZE, SIZE, 3]."""

    def write(target: Path) -> None:
        out = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
        starts = range(0, count, _CHUNK)
        with ProcessPoolExecutor(workers) as pool:
            chunks = pool.map(partial(_chunk, count=count), starts)
            for start, chunk in zip(starts, chunks, strict=True):
                out[start : start + len(chunk)] = chunk
                if start % (10 * _CHUNK) == 0:
                    log.info("Drawn %d of %d.", start, count)
        out.flush()

    write_whole(path, write)


def load(path: Path) -> npt.NDArray[np.uint8]:
    """The rendered scenes, mapped into memory."""
    if not path.is_file():
        raise SystemExit(f"{path} is not there; make it with: python -m small_world.dataset {path.parent}")
    return np.load(path, mmap_mode="r")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the training images.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    render(options.folder / "pictures.npy", options.count)


if __name__ == "__main__":
    main()
