"""What was found of each family on each host, kept beside the code so that one host's runs leave the other's alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.families.checks import Cell

FOLDER = Path(__file__).with_name("found")


@dataclass(frozen=True)
class Found:
    """A family's row: its title, and a cell for each column that was checked."""

    title: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Notes:
    """Of one host. rows: by small family. refused: by family of the host, why it is refused; None for none."""

    rows: Mapping[str, Found] = field(default_factory=dict)
    refused: Mapping[str, str | None] = field(default_factory=dict)


def read_notes() -> dict[str, Notes]:
    """By host version, the oldest first."""
    return {file.stem: _read(file) for file in sorted(FOLDER.glob("*.json"), key=lambda file: _number(file.stem))}


def write_notes(version: str, new: Notes) -> None:
    """Add to those of a host."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{version}.json"
    old = _read(file) if file.is_file() else Notes()
    _write(file, Notes({**old.rows, **new.rows}, {**old.refused, **new.refused}))


def keep_rows(version: str, names: Sequence[str]) -> None:
    """Of those of a host leave the rows of these families, in this order: what a run over all of them has found."""
    file = FOLDER / f"{version}.json"
    old = _read(file)
    _write(file, Notes({name: old.rows[name] for name in names}, old.refused))


def _write(file: Path, notes: Notes) -> None:
    rows = {
        name: {"title": row.title, **{column: [cell.works, cell.said] for column, cell in row.cells.items()}}
        for name, row in notes.rows.items()
    }
    file.write_text(json.dumps({"rows": rows, "refused": notes.refused}, indent=1) + "\n", encoding="utf-8")


def _read(file: Path) -> Notes:
    raw = json.loads(file.read_text(encoding="utf-8"))
    rows = {
        name: Found(row["title"], {column: Cell(*cell) for column, cell in row.items() if column != "title"})
        for name, row in raw["rows"].items()
    }
    return Notes(rows, raw["refused"])


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
