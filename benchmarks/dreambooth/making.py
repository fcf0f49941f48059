"""Trainings and images in their order; what is there already is left alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from dti_pack.dti_core.embedding import ConceptEmbedding

from benchmarks.dreambooth.protocol import ROWS
from benchmarks.dreambooth.results import Results
from benchmarks.dreambooth.subjects import Subject

if TYPE_CHECKING:
    from benchmarks.dreambooth.sdxl import SDXL

log = logging.getLogger(__name__)


def make_images(
    results: Results, load: Callable[[], SDXL], subjects: Sequence[Subject], rows: Sequence[str], together: int
) -> None:
    """Train what is not trained, and generate what is not there. load: called once, if there is anything to do."""
    sets = [(subject, row) for subject in subjects for row in rows]
    untrained = _untrained(results, sets)
    left = [(subject, row) for subject, row in sets if results.missing_images(subject, row)]
    images = sum(len(results.missing_images(subject, row)) for subject, row in left)
    log.info("To do: %d trainings, %d images", untrained, images)
    if not left:
        return
    sdxl = load()
    sdxl.check([subject.word for subject, _ in left])
    for number, (subject, row) in enumerate(left, start=1):
        log.info("%d of %d: %s, %s", number, len(left), subject.name, ROWS[row].label)
        _make_set(results, sdxl, subject, row, together)


def _untrained(results: Results, sets: Sequence[tuple[Subject, str]]) -> int:
    """How many trainings are to do. Raises ValueError where images are there without the training that they are of."""
    untrained = set()
    for subject, row in sets:
        method = ROWS[row].method
        if method is None or results.training(subject, method) is not None:
            continue
        untrained.add((subject.name, method))
        there = [file for _, _, file in results.image_files(subject, row) if file.is_file()]
        if there:
            raise ValueError(
                f"{there[0].parents[1]} has images, but what was trained for them by {method} is gone. Put it back, or "
                "move that folder away."
            )
    return len(untrained)


def _make_set(results: Results, sdxl: SDXL, subject: Subject, row: str, together: int) -> None:
    encode = sdxl.prompter(subject, _embedding(results, sdxl, subject, row))
    missing, begun = results.missing_images(subject, row), time.monotonic()
    for prompt, entries in groupby(missing, lambda image: image[0]):
        _, seeds, files = zip(*entries, strict=True)
        images = sdxl.sample(encode(prompt), seeds, results.protocol, together)
        for image, file in zip(images, files, strict=True):
            results.save_image(file, image)
    log.info("%d images in %.0f s", len(missing), time.monotonic() - begun)


def _embedding(results: Results, sdxl: SDXL, subject: Subject, row: str) -> ConceptEmbedding | None:
    """As it is used in this row."""
    method = ROWS[row].method
    if method is None:
        return None
    embedding = results.training(subject, method)
    if embedding is None:
        begun = time.monotonic()
        embedding = sdxl.train(subject, method, results.protocol)
        results.save_training(subject, method, embedding)
        log.info("trained in %.0f s", time.monotonic() - begun)
    return sdxl.rescaled(embedding) if ROWS[row].rescaled else embedding
