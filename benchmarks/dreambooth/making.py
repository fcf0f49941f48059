"""Trainings and images in their order; what is there already is left alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from dti_pack.dti_core.embedding import ConceptEmbedding

from benchmarks.dreambooth.protocol import ROWS
from benchmarks.dreambooth.results import Results
from benchmarks.dreambooth.sdxl import SDXL
from benchmarks.dreambooth.subjects import Subject

log = logging.getLogger(__name__)


def make_images(
    results: Results, load: Callable[[], SDXL], subjects: Sequence[Subject], rows: Sequence[str], together: int
) -> None:
    """Train what is not trained, and generate what is not there. load: called once, if there is anything to do."""
    sets = [(subject, row) for subject in subjects for row in rows]
    for subject, row in sets:
        if method := ROWS[row].method:
            results.training(subject, method)  # what it objects to is said before the run
    left = [(subject, row) for subject, row in sets if missing_images(results, subject, row)]
    if not left:
        return
    sdxl = load()
    sdxl.check([subject.word for subject, _ in left])
    for number, (subject, row) in enumerate(left, start=1):
        log.info("%d of %d: %s, %s", number, len(left), subject.name, ROWS[row].label)
        _make_set(results, sdxl, subject, row, together)


def missing_images(results: Results, subject: Subject, row: str) -> list[tuple[str, int, Path]]:
    """Prompt, seed and file of what a set lacks."""
    return [image for image in results.image_files(subject, row) if not image[2].is_file()]


def _make_set(results: Results, sdxl: SDXL, subject: Subject, row: str, together: int) -> None:
    encode = sdxl.prompter(subject, _embedding(results, sdxl, subject, row))
    missing, begun = missing_images(results, subject, row), time.monotonic()
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
