"""Results as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .bootstrap import bootstrap
from .main_tables import merit
from .plan import Row, Table
from .prompts import LEVELS
from .results import Results


def markdown(lines: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def table_of_scores(table: Table, results: Results) -> str:
    """Image and text with 95 % intervals over concepts and seeds; text again by level; runs that are there of all."""
    lines = []
    for row in table.rows:
        image, text = (bootstrap(results.values(table, row, axis)) for axis in ("image", "text"))
        levels = [_number(bootstrap(results.values(table, row, "text", n)).mean) for n in range(len(LEVELS))]
        done = f"{image.count}/{len(table.concepts) * len(table.seeds)}"
        length = f"{row.use.length:g} m*" if row.use.length else _number(results.length(table, row))
        lines.append([row.label, image, text, _number(merit(image.mean, text.mean)), *levels, length, done])
    return markdown(lines, ["", "Image", "Text", "both", *(f"Text, {level}" for level in LEVELS), "length", "runs"])


def table_of_differences(table: Table, results: Results, against: str) -> str:
    """Every row less the row `against`, subject by subject and seed by seed."""
    base = next(row for row in table.rows if row.label == against)
    lines = [
        [f"{row.label} - {against}", *(_difference(table, results, row, base, axis) for axis in ("image", "text"))]
        for row in table.rows
        if row is not base
    ]
    return markdown(lines, ["", "Image", "Text"])


def table_of_attributes(table: Table, results: Results) -> str:
    """For every attribute, how often it held where it was asked for; judged or not."""
    counts = [results.held(table, row) for row in table.rows]
    names = sorted({name for count in counts for name in count})
    lines = [
        [row.label, *(_number(count[name][0] / count[name][1]) if name in count else "-" for name in names)]
        for row, count in zip(table.rows, counts, strict=True)
    ]
    return markdown(lines, ["", *names])


def _difference(table: Table, results: Results, row: Row, base: Row, axis: str) -> str:
    return str(bootstrap(results.values(table, row, axis) - results.values(table, base, axis)))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
