"""What lies in the folder of a run: settings, trainings, images and scores, each file whole or not there."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.files.embedding_file import load_embedding, save_embedding
from dti_pack.dti_core.scoring.prompts import prompts_for
from PIL import Image

from benchmarks.dreambooth.protocol import Protocol
from benchmarks.dreambooth.subjects import Subject, digest_of
from benchmarks.small_world.files import write_whole

log = logging.getLogger(__name__)
SUBJECT_NOTE = "dti.benchmark_subject"  # in an embedding's header: what it was trained on


class Results:
    """The folder of one protocol and one checkpoint; subjects and methods may come one after another.

    Raises ValueError where the folder was begun with others: what it holds could not be told apart.
    """

    def __init__(self, folder: Path, protocol: Protocol, checkpoint: Path) -> None:
        self.folder, self.protocol, self.report = folder, protocol, folder / "report.md"
        settings = {**asdict(protocol), "checkpoint": digest_of([checkpoint])}
        begun = _read_json(folder / "settings.json")
        if begun is None:
            if any(folder.glob("*")):
                raise ValueError(f"{folder} is not empty and not the folder of a run; name a new one.")
            _write(folder / "settings.json", json.dumps(settings, indent=1))
            return
        other = [
            f"{name} {begun.get(name)}, not {value}" for name, value in settings.items() if begun.get(name) != value
        ]
        if other:
            raise ValueError(f"{folder} was begun with {'; '.join(other)}. Use the same, or name another folder.")

    def training(self, subject: Subject, method: str) -> ConceptEmbedding | None:
        """What was trained; None where it is still to do. Raises ValueError where the subject was another then."""
        file = self._training(subject, method)
        if not file.is_file():
            return None
        embedding = load_embedding(file)
        if embedding.metadata.get(SUBJECT_NOTE) != subject.fingerprint():
            raise ValueError(
                f"{file} was trained on other images than {subject.name} has now, or from another word. Put those "
                f"back, or move the file and {self.folder / 'images' / subject.name} away to do them again."
            )
        return embedding

    def save_training(self, subject: Subject, method: str, embedding: ConceptEmbedding) -> None:
        noted = {**embedding.metadata, SUBJECT_NOTE: subject.fingerprint()}
        save_embedding(ConceptEmbedding(embedding.name, embedding.vectors, noted), self._training(subject, method))

    def image_files(self, subject: Subject, row: str) -> list[tuple[str, int, Path]]:
        """Prompt, seed and file of each image of a set, whether it is there or not."""
        folder = self.folder / "images" / subject.name / row
        return [
            (prompt, seed, folder / str(seed) / f"{number:02d}_{_slug(prompt, subject.word)}.png")
            for number, prompt in enumerate(prompts_for(subject.word, self.protocol.prompts), start=1)
            for seed in range(self.protocol.seeds)
        ]

    def missing_images(self, subject: Subject, row: str) -> list[tuple[str, int, Path]]:
        """Of `image_files`, what is not there."""
        return [image for image in self.image_files(subject, row) if not image[2].is_file()]

    def save_image(self, file: Path, image: Image.Image) -> None:
        write_whole(file, lambda partial: image.save(partial, format="PNG"))

    def scores(self, subject: Subject, row: str, made_of: str) -> list[Mapping[str, Any]] | None:
        """A mapping for each image; None where there are none, or of other judges or images."""
        found = _read_json(self._scores(subject, row))
        return None if found is None or found.get("made_of") != made_of else list(found["images"])

    def save_scores(self, subject: Subject, row: str, made_of: str, images: Sequence[Mapping[str, Any]]) -> None:
        _write(self._scores(subject, row), json.dumps({"made_of": made_of, "images": list(images)}, indent=1))

    def save_report(self, text: str) -> None:
        _write(self.report, text)

    def _training(self, subject: Subject, method: str) -> Path:
        return self.folder / "trainings" / subject.name / f"{method.lower().replace(' ', '-')}.safetensors"

    def _scores(self, subject: Subject, row: str) -> Path:
        return self.folder / "scores" / subject.name / f"{row}.json"


def _slug(prompt: str, word: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", prompt.replace("{}", word))[:80].strip("_")


def _write(file: Path, text: str) -> None:
    write_whole(file, lambda partial: partial.write_text(text, encoding="utf-8"))


def _read_json(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        log.warning("%s is damaged and is made again: %s", file, error)
        return None
