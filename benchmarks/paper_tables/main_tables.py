"""From what the choosing half says to the tables that report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .plan import CHOOSE, CONCEPTS, REPORT, Row, Run, Scale, Table
from .settings import AS_TRAINED, Settings, Use
from .sweeps import improvement_table, improvements, kappa_table, rate_table

# Image and text of a run, or None where it has not been done.
Axes = Callable[[Run], "tuple[float, float] | None"]


def merit(image: float, text: float) -> float:
    """One number for two axes: their harmonic mean, which neither axis can buy alone."""
    return 0.0 if min(image, text) <= 0 else 2 * image * text / (image + text)


def merits(table: Table, axes: Axes) -> dict[str, float]:
    """Merit by row label, from the means over the table's runs; rows that are not complete are left out.

    Raises ValueError for a table that does not choose: nothing may be tuned on the half that reports.
    """
    if table.purpose != CHOOSE or not all(CONCEPTS[name].chooses for name in table.concepts):
        raise ValueError(f"table {table.name!r} reports; settings are chosen from tables of the choosing half.")
    out = {}
    for row in table.rows:
        runs = (table.runs_of(row, concept, seed) for concept in table.concepts for seed in table.seeds)
        found = [axes(run) for together in runs for run in together]
        if all(pair is not None for pair in found):
            images, texts = zip(*(pair for pair in found if pair is not None), strict=True)
            out[row.label] = merit(sum(images) / len(images), sum(texts) / len(texts))
    return out


def best_row(rows: list[Row], worth: dict[str, float]) -> Row:
    """The first row stands for all where none has been tried."""
    return max(rows, key=lambda row: worth.get(row.label, -1.0))


def chosen_settings(scale: Scale, axes: Axes) -> dict[str, Settings]:
    """The best settings of every method, by name of a row of the main table."""
    out = {}
    for method in ("ti", "cross_init", "adamw_sphere", "dti"):
        table = rate_table(method, scale)
        worth = merits(table, axes)
        out[method] = best_row([row for row in table.rows if row.use == AS_TRAINED], worth).settings
        if method == "ti":
            out["ti_rescaled"] = best_row([row for row in table.rows if row.use != AS_TRAINED], worth).settings
    if scale.sweeps:
        kappas = kappa_table(scale)
        kappa = best_row([r for r in kappas.rows if not r.settings.kappa_share], merits(kappas, axes)).settings.kappa
        out["dti"] = replace(out["dti"], kappa=kappa)
    return out


def improved_settings(scale: Scale, axes: Axes, base: Settings) -> Settings:
    """`base` with everything that paid on its own at its number of steps; of two decays, the better one."""
    table = improvement_table(scale, base.steps)
    worth = merits(table, axes)
    fresh = Settings()
    changes: dict[str, object] = {}
    for label, settings in sorted(improvements(fresh).items(), key=lambda item: worth.get(item[0], -1.0)):
        if worth.get(label, -1.0) > worth.get("DTI", 1.0):
            changes |= {key: value for key, value in vars(settings).items() if value != getattr(fresh, key)}
    if changes.get("average"):
        changes["average"] = base.steps // 4
    return replace(base, **changes)  # type: ignore[arg-type]


def main_tables(scale: Scale, axes: Axes) -> list[Table]:
    """What the reporting half is for, and the same elsewhere: the references, both Tables 2, then all others."""
    best, reference = chosen_settings(scale, axes), partial(scale.of, steps=scale.reference_steps)
    improved = partial(improved_settings, scale, axes)
    ti, dti = reference("ti", learning_rate=2e-2), reference("dti")
    paper = (
        Row("TI", ti),
        Row("TI-rescaled", ti, Use(length=1.0)),
        Row("CrossInit", reference("cross_init", learning_rate=2e-2)),
        Row("DTI", dti),
    )
    changed = (Row("DTI", dti), Row("DTI improved", improved(dti)))
    at_best = (
        Row("TI", best["ti"]),
        Row("TI-rescaled", best["ti_rescaled"], Use(length=1.0)),
        Row("CrossInit", best["cross_init"]),
        Row("AdamW on the sphere", best["adamw_sphere"]),
        Row("DTI", best["dti"]),
        Row("DTI improved", improved(best["dti"])),
    )
    references = tuple(Row(name.replace("_", " "), Settings(name)) for name in ("class_word", "described", "drawn"))
    table = partial(_reports, scale)
    tables = [
        table("references", references, scale.reporting),
        table("Table 2, every method at its best", at_best, scale.reporting, scale.seeds),
        table("Table 2, at the reference's settings", paper, scale.reporting, scale.seeds),
        table("DTI improved, at the reference's settings", changed, scale.reporting),
    ]
    if scale.styles:
        worded = (*references, *(row for row in at_best if row.settings.method != "adamw_sphere"))
        tables.append(table("styles, every method at its best", worded, scale.styles))
        tables.append(table("styles, at the reference's settings", paper, scale.styles))
    if scale.main_choosing and scale.sweeps:
        tables.append(table("Table 2 on the choosing half", (*references, *at_best), scale.main_choosing))
    return tables


def _reports(
    scale: Scale, name: str, rows: tuple[Row, ...], concepts: tuple[str, ...], seeds: tuple[int, ...] = (1,)
) -> Table:
    return Table(name, REPORT, rows, concepts, seeds, scale.sampling_seeds, scale.examination)
