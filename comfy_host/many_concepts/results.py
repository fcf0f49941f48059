"""What has come out: for each concept its embedding, report and picture, and a summary of all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comfy_host.many_concepts.manifest import Concept
from comfy_host.many_concepts.worker import Trained


class Results:
    """A folder of them. A concept is known by what it is trained from, so that another of its name is trained."""

    def __init__(self, folder: Path, workflow: Path) -> None:
        self._folder, self._workflow = folder, workflow.read_bytes()
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, concept: Concept) -> bool:
        """Whether it has been trained, from the same images and settings, and is still there."""
        entry = self._entry(concept)
        known = entry.get("trained_from") == self._digest(concept) and not entry["problem"]
        return known and self._file(concept, ".safetensors").is_file()

    def keep(self, concept: Concept, trained: Trained, attempts: int) -> None:
        """The entry last, so that what was cut off is done again."""
        if not trained.problem:
            self._write(concept, ".safetensors", trained.embedding)
            self._write(concept, ".png", trained.picture)
            self._write(concept, ".txt", trained.report.encode())
        entry = {
            "name": concept.name,
            "problem": trained.problem,
            "attempts": attempts,
            "seconds": round(trained.seconds, 1),
            "trained_from": self._digest(concept),
        }
        self._write(concept, ".json", json.dumps(entry, indent=2).encode())

    def summarize(self, concepts: Sequence[Concept]) -> str:
        """Write summary.json and summary.md; a table with a line for each concept."""
        entries = [self._entry(concept) or {"name": concept.name, "problem": "not yet"} for concept in concepts]
        lines = ["| concept | result | attempts | minutes |", "| --- | --- | --- | --- |"]
        for entry in entries:
            result = entry["problem"].partition("\n")[0].replace("|", "/") or f"{entry['name']}.safetensors"
            minutes = f"{entry.get('seconds', 0) / 60:.1f}"
            lines.append(f"| {entry['name']} | {result} | {entry.get('attempts', 0)} | {minutes} |")
        table = "\n".join(lines)
        (self._folder / "summary.json").write_text(json.dumps(entries, indent=2), encoding="utf-8")
        (self._folder / "summary.md").write_text(table + "\n", encoding="utf-8")
        return table

    def _entry(self, concept: Concept) -> Mapping[str, Any]:
        try:
            entry: dict[str, Any] = json.loads(self._file(concept, ".json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return entry

    def _digest(self, concept: Concept) -> str:
        settings = json.dumps([concept.initializer, concept.settings], sort_keys=True)
        found = hashlib.sha256(self._workflow + settings.encode())
        for file in sorted(path for path in concept.images.rglob("*") if path.is_file()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{file.relative_to(concept.images).as_posix()} {content}\n".encode())
        return found.hexdigest()

    def _write(self, concept: Concept, suffix: str, content: bytes) -> None:
        file = self._file(concept, suffix)
        partial = file.with_suffix(".partial")
        partial.write_bytes(content)
        os.replace(partial, file)

    def _file(self, concept: Concept, suffix: str) -> Path:
        return self._folder / f"{concept.name}{suffix}"
