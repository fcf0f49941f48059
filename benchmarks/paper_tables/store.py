"""Results on disk, one small file each, whole or not there; what is damaged counts as not there."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from small_world.files import save_tensors, write_whole
from torch import Tensor

log = logging.getLogger(__name__)


def digest(item: Any) -> str:
    """A short name for anything that JSON can hold, the same on every machine."""
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]


def digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


class Store:
    """Trained vectors of one world (checkpoint), and in a folder below it the scores that one judge gives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_training(self, name: str, by_step: Mapping[int, Mapping[str, Tensor]], notes: Mapping[str, Any]) -> None:
        """Vectors by step (0 for the result) and by encoder key, with what was noted on the way."""
        # Clones: the last step's vectors are the result's, and a file may not hold one memory twice.
        tensors = {f"{step}.{key}": rows.clone() for step, vectors in by_step.items() for key, rows in vectors.items()}
        if not tensors:  # a word needs no vectors, and a file needs a tensor
            tensors = {"none": torch.zeros(1)}
        save_tensors(self._training(name), tensors, {"notes": json.dumps(dict(notes))})

    def training(self, name: str) -> tuple[dict[int, dict[str, Tensor]], dict[str, Any]] | None:
        path = self._training(name)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as stream:
                notes = json.loads(stream.metadata()["notes"])
                tensors: dict[str, Tensor] = {key: stream.get_tensor(key) for key in stream.keys()}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            log.warning("%s is damaged and is made again: %s", path, error)
            return None
        by_step: dict[int, dict[str, Tensor]] = {}
        for label, rows in tensors.items():
            step, _, key = label.partition(".")
            if key:
                by_step.setdefault(int(step), {})[key] = rows
        return by_step, notes

    def save_score(self, name: str, score: Mapping[str, Any]) -> None:
        write_whole(self._score(name), lambda partial: partial.write_text(json.dumps(dict(score)), encoding="utf-8"))

    def score(self, name: str) -> dict[str, Any] | None:
        path = self._score(name)
        if not path.is_file():
            return None
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            log.warning("%s is damaged and is made again: %s", path, error)
            return None

    def _training(self, name: str) -> Path:
        return self.folder.parent / "trainings" / f"{name}.safetensors"

    def _score(self, name: str) -> Path:
        return self.folder / "scores" / f"{name}.json"
