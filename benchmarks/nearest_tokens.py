# ruff: noqa: T201
"""Time and extra memory of the nearest words in a vocabulary of OpenCLIP bigG's size, without a checkpoint.

Target: each metric in under a second on two cores, with less than 600 MB on top of the table. Linux only (peak
memory). Run it in the repository with an environment that has torch:
    python -m benchmarks.nearest_tokens
"""

import argparse
import threading
import time
from pathlib import Path

import torch

from dti_core.vocabulary import Vocabulary

TOKENS, WIDTH = 49408, 1280
MEAN_NORM = 0.45
MEGABYTE = 1e6


def table() -> torch.Tensor:
    """Random fp16 rows at bigG's mean norm, made in parts so that making them leaves no peak."""
    generator = torch.Generator().manual_seed(0)
    scale = MEAN_NORM / WIDTH**0.5
    rows = torch.empty(TOKENS, WIDTH, dtype=torch.float16)
    for part in rows.split(4096):
        part.copy_(scale * torch.randn(part.shape, generator=generator))
    return rows


class PeakMemory:
    """The most resident memory, in bytes on top of the beginning, while the context lasts."""

    def __enter__(self) -> "PeakMemory":
        self._start = self._peak = _resident()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._watcher.join()

    @property
    def extra(self) -> int:
        return self._peak - self._start

    def _watch(self) -> None:
        while not self._done.wait(0.001):
            self._peak = max(self._peak, _resident())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vectors", type=int, default=1, help="vectors that are looked up at once")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    vocabulary = Vocabulary(table(), frozenset({49406, 49407}))
    vectors = vocabulary.rows(range(1000, 1000 + options.vectors))
    for metric in ("cosine", "euclidean"):
        vocabulary.__dict__.pop("norms", None)  # the first lookup pays for the norms; so does each here
        vocabulary.__dict__.pop("is_word", None)
        with PeakMemory() as memory:
            start = time.perf_counter()
            vocabulary.nearest(vectors, 10, metric)
            seconds = time.perf_counter() - start
        print(
            f"{metric}: {seconds:.2f} s, {memory.extra / MEGABYTE:.0f} MB extra "
            f"({options.vectors} vectors, {TOKENS} x {WIDTH} fp16, {options.threads} threads)"
        )


if __name__ == "__main__":
    main()
