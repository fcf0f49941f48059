"""Results as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from dti_pack.dti_core.scoring.intervals import Interval, bootstrap, bootstrap_ratio

from .plan import Row, Table
from .prompts import LEVELS
from .recipe import BASE, gains, merit
from .results import Results


def markdown(lines: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def table_of_scores(table: Table, results: Results, ends: Table) -> str:
    """Image and text with 95 % intervals over concepts and seeds; text again by level; runs that are there of all.

    ends: a table with the class word and the description of the same concepts, for the room that is left.
    """
    lines = []
    for row in table.rows:
        image, text = (bootstrap(results.values(table, row, axis)) for axis in ("image", "text"))
        levels = [_number(bootstrap(results.values(table, row, "text", n)).mean) for n in range(len(LEVELS))]
        done = f"{image.count}/{len(table.concepts) * len(table.seeds)}"
        both, norm = _number(merit(image.mean, text.mean)), _number(results.norm(table, row), 2)
        lines.append([row.label, image, text, room_left(table, row, results, ends), both, *levels, norm, done])
    levels = [f"Text, {level}" for level in LEVELS]
    return markdown(lines, ["", "Image", "Text", "Room left", "both", *levels, "norm at use (m*)", "runs"])


def room_left(table: Table, row: Row, results: Results, ends: Table) -> Interval:
    """Of the text between the description (0) and the class word (1), the share at which the row's text stands."""
    seeds = len(table.seeds)
    word, described = (results.values(ends, ends.row(label), "text")[:, :1] for label in ("class word", "described"))
    room = np.repeat(word - described, seeds, axis=1)
    return bootstrap_ratio(results.values(table, row, "text") - described, room)


def table_of_differences(table: Table, results: Results, against: str) -> str:
    """Every trained row less the row `against`, subject by subject and seed by seed; what is not trained only less
    another that is not."""
    base = table.row(against)
    lines = [
        [f"{row.label} - {against}", *(_difference(table, results, row, base, axis) for axis in ("image", "text"))]
        for row in table.rows
        if row is not base and (row.settings.trains or not base.settings.trains)
    ]
    return markdown(lines, ["", "Image", "Text"])


def table_of_change(changed: Table, table: Table, results: Results) -> str:
    """Every row as `changed` tries it, less the same row as `table` does, with the first sampling seed of both."""
    first = replace(table, sampling_seeds=1)
    lines = []
    for row in changed.rows:
        pairs = [(results.values(changed, row, axis), results.values(first, row, axis)) for axis in ("image", "text")]
        lines.append([row.label, *(bootstrap(a - b) for a, b in pairs)])
    return markdown(lines, ["", "Image", "Text"])


def table_by_concept(table: Table, results: Results, label: str, against: str) -> str:
    """Image / text of every row, a column per concept, means over seeds; of two rows also the difference.

    Concepts stand in the order of that difference in text, so that its median is the middle column.
    """
    means = {
        row.label: [results.values(table, row, axis).mean(axis=1) for axis in ("image", "text")] for row in table.rows
    }
    means[f"{label} - {against}"] = [a - b for a, b in zip(means[label], means[against], strict=True)]
    order = np.argsort(means[f"{label} - {against}"][1], kind="stable")
    lines = [
        [name, *(f"{_number(image[n])} / {_number(text[n])}" for n in order)] for name, (image, text) in means.items()
    ]
    return markdown(lines, ["Image / text", *(table.concepts[n] for n in order)])


def table_of_gains(table: Table, results: Results) -> str:
    """Every change of the recipe less the recipe, and whether it pays."""
    found, lines = gains(table, results), []
    for row in table.rows:
        if row.label != BASE:
            gain = found.get(row.label)
            both = (_difference(table, results, row, table.row(BASE), axis) for axis in ("image", "text"))
            verdict = "-" if gain is None else "yes" if gain.low > 0 else "no"
            lines.append([row.label, *both, gain or "-", verdict])
    return markdown(lines, [f"less {BASE}", "Image", "Text", "both", "pays beyond its interval"])


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


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
