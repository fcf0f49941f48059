"""What the judges say of each image."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dti_pack.dti_core.scoring.prompts import judged_text
from PIL import Image

from benchmarks.dreambooth.judges import TOGETHER, ImageJudge, TextJudge, files_of
from benchmarks.dreambooth.protocol import ROWS
from benchmarks.dreambooth.results import Results
from benchmarks.dreambooth.subjects import Subject, digest_of

log = logging.getLogger(__name__)
Score = Mapping[str, Any]


def score_images(
    results: Results,
    image_judge: ImageJudge,
    text_judge: TextJudge,
    subjects: Sequence[Subject],
    rows: Sequence[str],
) -> dict[tuple[str, str], list[Score]]:
    """Scores by subject's name and row, of the sets of images that are whole; see `score_set`."""
    judged_by = digest_of([*files_of(image_judge.folder), *files_of(text_judge.folder)])
    found = {}
    for subject in subjects:
        for row in (row for row in rows if not results.missing_images(subject, row)):
            images = results.image_files(subject, row)
            files = [*subject.pictures, *subject.masks, *(file for _, _, file in images)]
            made_of = hashlib.sha256(f"{judged_by} {len(subject.masks)} {digest_of(files)}".encode()).hexdigest()[:16]
            scores = results.scores(subject, row, made_of)
            if scores is None:
                scores = score_set(image_judge, text_judge, subject, images)
                results.save_scores(subject, row, made_of, scores)
                log.info("%s, %s: %d images scored", subject.name, ROWS[row].label, len(scores))
            found[subject.name, row] = scores
    return found


def score_set(
    image_judge: ImageJudge, text_judge: TextJudge, subject: Subject, images: Sequence[tuple[str, int, Path]]
) -> list[Score]:
    """A mapping for each image (prompt, seed, file), with its prompt and seed.

    image: mean cosine with the subject's images. image_masked: the same with masked images, where there are masks.
    logit: SigLIP's, with the prompt that has the class word.
    """
    references = {"image": image_judge.features(subject.references())}
    if subject.masks:
        references["image_masked"] = image_judge.features(subject.masked_references())
    scores: list[Score] = []
    for first in range(0, len(images), TOGETHER):
        part = images[first : first + TOGETHER]
        opened = [_opened(file) for _, _, file in part]
        logits = text_judge.logits(opened, [judged_text(prompt, subject.word) for prompt, _, _ in part])
        features = image_judge.features(opened)
        likeness = {name: (features @ of.T).mean(1) for name, of in references.items()}
        for number, (prompt, seed, _) in enumerate(part):
            values = {name: float(value[number]) for name, value in likeness.items()}
            scores.append({"prompt": prompt, "seed": seed, **values, "logit": float(logits[number])})
    return scores


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")
