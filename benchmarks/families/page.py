"""docs/families.md from what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.families.checks import COLUMNS, Cell
from benchmarks.families.notes import Found
from comfy_host.environment import REPO

PAGE = REPO / "docs" / "families.md"
TEXT = REPO / "benchmarks" / "families" / "families.md"


def page(notes: Mapping[str, Mapping[str, Found]]) -> str:
    """The page's text with the tables in the place of `{matrix}` and `{reasons}`."""
    text = TEXT.read_text(encoding="utf-8")
    return (
        text.replace("{hosts}", " and ".join(notes))
        .replace("{matrix}", _matrix(notes))
        .replace("{reasons}", "\n".join(_reasons(notes)))
    )


def _matrix(notes: Mapping[str, Mapping[str, Found]]) -> str:
    names = list(dict.fromkeys(name for rows in notes.values() for name in rows))
    lines = ["| family | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    for name in names:
        rows = {version: found[name] for version, found in notes.items() if name in found}
        title = next(iter(rows.values())).title
        cells = [_cell({version: row.cells.get(column) for version, row in rows.items()}) for column in COLUMNS]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(by_version: Mapping[str, Cell | None]) -> str:
    """One word where the hosts agree, else each one's."""
    words = {version: "-" if cell is None else "yes" if cell.works else "no" for version, cell in by_version.items()}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{word} ({version})" for version, word in words.items())


def _reasons(notes: Mapping[str, Mapping[str, Found]]) -> Iterator[str]:
    """A line for each "no", once for hosts that say the same."""
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for version, rows in notes.items():
        for row in rows.values():
            for column, cell in row.cells.items():
                if not cell.works:
                    by_reason.setdefault((row.title, column, cell.said), []).append(version)
    for (title, column, said), versions in by_reason.items():
        yield f"- **{title}**, {column} ({', '.join(versions)}): {' '.join(said.split())}"
