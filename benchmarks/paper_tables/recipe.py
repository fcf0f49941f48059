"""Changes of the recipe, tried one by one on the choosing half, and what of them pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from dti_pack.dti_core.scoring.intervals import Interval, bootstrap

from .plan import CHOOSE, CONCEPTS, Row, Scale, Table
from .results import Results, Values
from .settings import Settings

BASE = "DTI"


def changes(base: Settings) -> dict[str, Settings]:
    """One change of the recipe each."""
    return {
        "cosine decay to a tenth": replace(base, decay="cosine", decay_floor=0.1),
        "linear decay to a tenth": replace(base, decay="linear", decay_floor=0.1),
        "mean of the last quarter": replace(base, average=base.steps // 4),
        "stratified noise levels": replace(base, stratified=True),
        "all but the noisiest fifth": replace(base, noise_start=0.2),
        "kappa 0.03 x gradient": replace(base, kappa_share=0.03),
        "kappa 0.1 x gradient": replace(base, kappa_share=0.1),
        "start at the best word": replace(base, best_word=True),
        "captions name the surroundings": replace(base, surroundings=True),
    }


def recipe_table(scale: Scale) -> Table:
    base = scale.of("dti")
    rows = [Row(BASE, base), *(Row(label, settings) for label, settings in changes(base).items())]
    kept = tuple(rows[: None if scale.changes is None else scale.changes + 1])
    return Table("Recipe", CHOOSE, kept, scale.choosing, (1,), scale.sampling_seeds, scale.examination)


def merit(image: float, text: float) -> float:
    """One number for two axes: their harmonic mean, which neither axis can buy alone."""
    return 0.0 if min(image, text) <= 0 else 2 * image * text / (image + text)


def gains(table: Table, results: Results) -> dict[str, Interval]:
    """By label, how much a row's merit exceeds that of the recipe, run by run; rows that are not whole are left out.

    Raises ValueError for a table that does not choose: nothing may be tuned on the half that reports.
    """
    if table.purpose != CHOOSE or not all(CONCEPTS[name].chooses for name in table.concepts):
        raise ValueError(f"table {table.name!r} reports; settings are chosen from tables of the choosing half.")
    base = _merits(table, table.row(BASE), results)
    out = {}
    for row in table.rows:
        differences = _merits(table, row, results) - base
        if row.label != BASE and np.isfinite(differences).all():
            out[row.label] = bootstrap(differences)
    return out


def improved_settings(scale: Scale, results: Results) -> Settings | None:
    """The recipe with everything that pays on its own, beyond its interval; None while a run is missing, or where
    nothing pays. Of two changes of one setting the better one counts."""
    table, base = recipe_table(scale), scale.of("dti")
    found = gains(table, results)
    if len(found) < len(table.rows) - 1:
        return None
    paying = sorted((gain.mean, label) for label, gain in found.items() if gain.low > 0)
    changed: dict[str, object] = {}
    for _, label in paying:
        changed |= {key: value for key, value in vars(table.row(label).settings).items() if value != getattr(base, key)}
    return replace(base, **changed) if changed else None  # type: ignore[arg-type]


def _merits(table: Table, row: Row, results: Results) -> Values:
    """[concepts, seeds], nan where a run is missing."""
    image, text = (results.values(table, row, axis) for axis in ("image", "text"))
    return np.asarray([[merit(*pair) for pair in zip(*both, strict=True)] for both in zip(image, text, strict=True)])
