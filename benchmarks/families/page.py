"""docs/families.md from what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.families.checks import COLUMNS, Cell
from benchmarks.families.notes import Notes
from comfy_host.environment import REPO

PAGE = REPO / "docs" / "families.md"
TEXT = REPO / "benchmarks" / "families" / "page.md"


def page(notes: Mapping[str, Notes]) -> str:
    """The page's text, with tables where it has names in braces."""
    text = TEXT.read_text(encoding="utf-8")
    parts = {
        "{hosts}": " and ".join(notes),
        "{matrix}": "\n".join(_matrix(notes)),
        "{reasons}": "\n".join(_reasons(notes)) or "There is none.",
        "{refused}": "\n".join(_refused(notes)),
    }
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def _matrix(notes: Mapping[str, Notes]) -> Iterator[str]:
    yield "| family | " + " | ".join(COLUMNS) + " |"
    yield "| --- |" + " --- |" * len(COLUMNS)
    for name in dict.fromkeys(name for of_host in notes.values() for name in of_host.rows):
        rows = {version: of_host.rows[name] for version, of_host in notes.items() if name in of_host.rows}
        cells = [_cell({version: row.cells.get(column) for version, row in rows.items()}) for column in COLUMNS]
        title = next(iter(rows.values())).title
        if len(rows) < len(notes):
            title += f" ({', '.join(rows)} only)"
        yield f"| {title} | " + " | ".join(cells) + " |"


def _cell(by_version: Mapping[str, Cell | None]) -> str:
    """One word where the hosts agree, else each one's."""
    words = {version: "" if cell is None else "yes" if cell.works else "no" for version, cell in by_version.items()}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{word or '-'} ({version})" for version, word in words.items())


def _reasons(notes: Mapping[str, Notes]) -> Iterator[str]:
    """A line for each "no", once for hosts that say the same."""
    versions: dict[tuple[str, str, str], list[str]] = {}
    for version, of_host in notes.items():
        for row in of_host.rows.values():
            for column, cell in row.cells.items():
                if not cell.works:
                    versions.setdefault((row.title, column, cell.said), []).append(version)
    for (title, column, said), where in versions.items():
        yield f"- {title}, {column} ({', '.join(where)}): {' '.join(said.split())}"


def _refused(notes: Mapping[str, Notes]) -> Iterator[str]:
    """The families that are refused for one reason, in a row; those of one host only say which."""
    families: dict[str, dict[str, list[str]]] = {}
    for version, of_host in notes.items():
        for family, reason in of_host.refused.items():
            if reason is not None:
                families.setdefault(reason, {}).setdefault(family, []).append(version)
    yield "| why | families |"
    yield "| --- | --- |"
    for reason, where in families.items():
        names = [name if len(v) == len(notes) else f"{name} ({', '.join(v)})" for name, v in where.items()]
        yield f"| {reason} | {', '.join(names)} |"
