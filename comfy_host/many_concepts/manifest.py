"""The manifest: a workflow, and which concepts to train with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_host.environment import REPO

TRAIN_CONCEPT = REPO / "workflows" / "train_concept.json"
# By node type, then by input.
Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Concept:
    """What to train. name: of the embedding, of its input folder and of its results."""

    name: str
    initializer: str
    images: Path
    settings: Settings

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Manifest:
    """workflow: the file that has all else."""

    workflow: Path
    concepts: tuple[Concept, ...]


def read_manifest(file: Path) -> Manifest:
    """Paths in it are relative to the file. Raises ValueError, OSError where the file cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}.") from error
    _check_keys(content, str(file), required=("concepts",), optional=("workflow", "settings"))
    workflow = file.parent / content["workflow"] if "workflow" in content else TRAIN_CONCEPT
    if not workflow.is_file():
        raise ValueError(f"{file} names the workflow {workflow}, and there is no such file.")
    shared = _settings(content, str(file))
    if not isinstance(content["concepts"], list) or not content["concepts"]:
        raise ValueError(f"{file}: concepts must be a list of at least one.")
    concepts: dict[str, Concept] = {}
    for number, entry in enumerate(content["concepts"], start=1):
        concept = _concept(entry, f"{file}, concept {number}", file.parent, shared)
        # Files of names that differ in case alone are one file on Windows and macOS.
        if concepts.setdefault(concept.name.casefold(), concept) is not concept:
            raise ValueError(f"{file}, concept {number}: the name {concept.name!r} is taken by another.")
    return Manifest(workflow.resolve(), tuple(concepts.values()))


def _concept(entry: Any, where: str, folder: Path, shared: Settings) -> Concept:
    _check_keys(entry, where, required=("name", "initializer", "images"), optional=("settings",))
    for key in ("name", "initializer", "images"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise ValueError(f"{where}: {key} is {entry[key]!r}; it must be a text.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", entry["name"]):
        raise ValueError(f"{where}: the name is {entry['name']!r}; it may have letters, digits, - and _.")
    images = (folder / entry["images"]).resolve()
    if not images.is_dir():
        raise ValueError(f"{where}: there is no folder {images}.")
    if not any(images.iterdir()):
        raise ValueError(f"{where}: the folder {images} is empty; put 3 to 6 images into it.")
    own = _settings(entry, where)
    settings = {kind: {**shared.get(kind, {}), **own.get(kind, {})} for kind in {**shared, **own}}
    return Concept(entry["name"], entry["initializer"], images, settings)


def _settings(content: Mapping[str, Any], where: str) -> Settings:
    settings = content.get("settings", {})
    if not isinstance(settings, dict) or not all(isinstance(inputs, dict) for inputs in settings.values()):
        raise ValueError(f'{where}: settings must be by node type and input, as {{"DTI_Train": {{"steps": 300}}}}.')
    return settings


def _check_keys(content: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be an object, with {', '.join(required)}.")
    missing = [key for key in required if key not in content]
    unknown = sorted(content.keys() - {*required, *optional})
    if missing or unknown:
        found = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}"
        raise ValueError(f"{where} {found}. It must have {', '.join(required)}, and may have {', '.join(optional)}.")
