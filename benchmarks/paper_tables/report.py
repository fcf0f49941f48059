"""From results to report.md and its pictures; what is not done yet shows as such."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from dti_pack.dti_core.scoring.intervals import Interval, bootstrap
from small_world.sample import Sampling
from torch import Tensor

from . import curves, figures, main_tables, stages
from .effects import effects
from .evaluation import used_vectors
from .figures import Curve, Point
from .held_out import fresh_losses, held_out_table, table_of_losses
from .plan import CONCEPTS, Row, Scale, Table
from .recipe import improved_settings, merit, recipe_table
from .results import Results
from .settings import AS_TRAINED, REFERENCES, Settings
from .slerp_rows import row as slerp_row
from .slerp_rows import save_rows
from .tables import (
    markdown,
    table_by_concept,
    table_of_attributes,
    table_of_change,
    table_of_differences,
    table_of_gains,
    table_of_scores,
)
from .workers import Workers

SLERP_SEEDS = 4


def write_report(folder: Path, scale: Scale, results: Results, workers: Workers) -> Path:
    """report.md with its pictures beside it; rows without a run show dashes."""
    improved = improved_settings(scale, results)
    tables = [table for name in stages.NAMES for table in stages.stage(name, scale, improved).tables]
    number, seconds = results.seconds(tables)
    main = main_tables.table_2(scale)
    parts = ["# The paper's tables on the small world", _preface(folder, scale, workers)]
    parts += [f"{number} trainings took {seconds / 3600:.1f} hours of one worker; what images took comes on top."]
    parts += _scores(main, results, "TI", "DTI", "class word")
    parts += ["Text by attribute:", table_of_attributes(main, results)]
    figures.front(_ends(main, results), list(_curves(scale, results)), folder / "front.png")
    parts += ["![image against text](front.png)"]
    parts += _scores(main_tables.table_3(scale), results, "DTI", ends=main)
    parts += [*_scores(curves.rate_table(scale), results, ends=main), *_against_norm(folder, scale, main, results)]
    parts += _on_the_way(scale, main, results, workers)
    for table in curves.strength_tables(scale):
        parts += _scores(table, results, ends=main)
    parts += ["## Norms over training", _norms(folder / "norms.png", main, results)]
    parts += ["## Effects I and II, of vectors as they are used", _effects(main, results, workers)]
    parts += _slerp(folder, scale, main, results, workers)
    parts += _scores(main_tables.style_table(scale), results, "TI", "DTI")
    choosing = main_tables.choosing_table(scale)
    parts += [*_scores(choosing, results, "TI"), table_by_concept(choosing, results, "DTI", "TI")]
    parts += [f"## {(finer := main_tables.finer_table(scale)).name}", table_of_change(finer, choosing, results)]
    parts += [*_scores(held := held_out_table(scale), results, ends=choosing), table_of_gains(held, results)]
    recipe = recipe_table(scale)
    parts += [*_scores(recipe, results, ends=choosing), table_of_gains(recipe, results)]
    if improved is not None:
        parts += _scores(main_tables.improved_table(scale, improved), results, "DTI")
        parts += [f"DTI improved is: {_shown(improved)}."]
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _preface(folder: Path, scale: Scale, workers: Workers) -> str:
    trust = workers.world.trust
    measured = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))["subjects"]
    lengths = ", ".join(f"{key} {norm:.2f}" for key, norm in workers.world.lengths().items())
    left_out = [f"{name} ({share:.2f})" for name, share in measured.items() if name not in trust.subjects]
    return (
        "**Image**: cosine with the subject's images in the judge's embedding; of styles, share of their looks that "
        "hold. **Text**: share of what the prompt asks for that holds; a companion counts as one (there, once, right "
        "shape and colour), its side as another. **Room left**: a subject that is all described in words leaves less "
        "of the prompt than its class word, since it takes room by itself. On the way from the description's text (0) "
        "to the class word's (1) this is where the method stands; below 0 it loses more than words do. A dash stands "
        "where the two do not differ beyond the interval. **Norm**: mean over vectors and encoders, in mean norms m* "
        f"of the vocabulary ({lengths}). **both**: the harmonic mean of image and text, by which changes of the recipe "
        f"are judged, on {', '.join(scale.choosing)} and no others. In brackets 95 % bootstrap intervals over concepts "
        f"and training seeds. Judged are {', '.join(sorted(trust.subjects))}; not judged, since the judge reads too "
        f"few drawings of it right (share): {', '.join(left_out) or 'nothing'}."
    )


def _scores(table: Table, results: Results, *against: str, ends: Table | None = None) -> list[str]:
    """A table under its name, with the differences to some rows."""
    parts = [f"## {table.name}", table_of_scores(table, results, ends or table)]
    if against:
        parts += ["Differences, run by run, where both are done:"]
    return parts + [table_of_differences(table, results, label) for label in against]


def _shown(settings: Settings) -> str:
    base = Settings()
    return ", ".join(f"{name} {value}" for name, value in vars(settings).items() if value != getattr(base, name))


def _ends(table: Table, results: Results) -> dict[str, tuple[Interval, Interval]]:
    """Image and text of every row that there is, but of the drawings, which lie far off."""
    rows = [row for row in table.rows if row.settings.method != "drawn"]
    found = {row.label: _axes(table, row, results) for row in rows}
    return {label: both for label, both in found.items() if both[0].count}


def _axes(table: Table, row: Row, results: Results) -> tuple[Interval, Interval]:
    """Image and text."""
    return bootstrap(results.values(table, row, "image")), bootstrap(results.values(table, row, "text"))


def _curves(scale: Scale, results: Results) -> Iterator[Curve]:
    """All knobs of all methods, on the reporting half."""
    for table in curves.step_tables(scale):
        yield Curve(table.name, table.name.removesuffix(" on its way"), _points(table, table.rows, results))
    for table, method in zip(curves.strength_tables(scale), ("TI", "DTI", "TEA on TI"), strict=True):
        yield Curve(table.name, method, _points(table, table.rows, results))
    rates = curves.rate_table(scale)
    for method, rows in (("TI", rates.rows[::2]), ("TI-rescaled", rates.rows[1::2])):
        yield Curve(f"{method} at other rates", method, _points(rates, rows, results))
    ablation = dataclasses.replace(main_tables.table_3(scale), seeds=scale.seeds[:1])
    turned = [row for row in ablation.rows if row.settings.method == "dti" and row.settings.magnitude == "mean"]
    kappas = sorted(turned, key=lambda row: row.settings.kappa)
    yield Curve("DTI at other kappas", "DTI", _points(ablation, kappas, results))


def _points(table: Table, rows: Sequence[Row], results: Results) -> list[Point]:
    """(text, image) of the rows that there are."""
    out = []
    for row in rows:
        image, text = _axes(table, row, results)
        if image.count:
            out.append(Point(text.mean, image.mean, _knob(row)))
    return out


def _knob(row: Row) -> str:
    """What of a label changes along a curve."""
    return row.label.removesuffix(", rescaled").split(", ")[-1].split(" at ")[-1]


def _against_norm(folder: Path, scale: Scale, main: Table, results: Results) -> list[str]:
    """Which norm goes with which loss of text: TI by its rate, TI and DTI brought to other norms."""
    rates, (ti, dti, _) = curves.rate_table(scale), curves.strength_tables(scale)
    drawn = []
    for table, rows, name in ((rates, rates.rows[::2], "TI"), (ti, ti.rows, "TI"), (dti, dti.rows, "DTI")):
        found = [(results.norm(table, row), bootstrap(results.values(table, row, "text")), row) for row in rows]
        points = [Point(norm, text.mean, _knob(row)) for norm, text, row in found if text.count]
        drawn.append(Curve("TI by its rate" if table is rates else table.name, name, points))
    ends = _ends(main, results)
    levels = {label: ends[label][1].mean for label in ("class word", "described") if label in ends}
    figures.against_norm(drawn, levels, folder / "text_by_norm.png")
    return ["![text by norm](text_by_norm.png)"]


def _on_the_way(scale: Scale, main: Table, results: Results, workers: Workers) -> list[str]:
    """Is an earlier TI just as good? Against the trained DTI at every step, and at the best with hindsight.

    And does the loss of other images tell which step is best?"""
    tables = curves.step_tables(scale)
    parts = [part for table in tables for part in _scores(table, results, ends=main)]
    for table in tables:
        if table.name in ("TI on its way", "DTI on its way"):
            losses = fresh_losses(table, results, workers.world)
            parts += [f"## Does the loss of other drawings tell? {table.name}", table_of_losses(table, results, losses)]
    dti = next(table for table in tables if table.name.startswith("DTI"))
    for table in (table for table in tables if table.name.startswith("TI")):
        against = dataclasses.replace(table, rows=(*table.rows, dti.rows[-1]))
        last = dti.rows[-1].label
        parts += [f"## Is an earlier step just as good? {table.name}"]
        parts += [table_of_differences(against, results, last)]
        worth = {
            row.label: merit(*(float(results.values(table, row, axis).mean()) for axis in ("image", "text")))
            for row in table.rows
        }
        if all(np.isfinite(value) for value in worth.values()):
            best = max(worth, key=lambda label: worth[label])
            parts += [f"The best of them with hindsight, by `both`: {best}, {worth[best]:.3f}."]
    return parts


def _trained_rows(table: Table) -> list[Row]:
    return [row for row in table.rows if row.settings.method not in REFERENCES]


def _norms(path: Path, table: Table, results: Results) -> str:
    """Norm of the vectors over training, mean over concepts, of the first encoder and the second."""
    bundles: dict[str, list[figures.Line]] = {}
    for row in _trained_rows(table):
        if row.use != AS_TRAINED:
            continue
        found = [results.store.training(table.training_id(row, name, table.seeds[0])) for name in table.concepts]
        histories = [notes["history"] for _, notes in filter(None, found)]
        if histories:
            steps = [note["step"] for note in histories[0]]
            for key in sorted(histories[0][0]["norm"], reverse=True):
                norms = [[note["norm"][key] for note in history] for history in histories]
                bundles.setdefault(row.label, []).append((key, steps, np.mean(norms, axis=0).tolist()))
    figures.lines(bundles, path, "step", "norm of the trained vector", log_y=True)
    return f"![norms]({path.name})"


def _effects(table: Table, results: Results, workers: Workers) -> str:
    """Both effects by row and encoder, with intervals over concepts and seeds."""
    world, lengths = workers.world, workers.world.lengths()
    lines: list[Sequence[object]] = []
    for row in (table.row("class word"), *_trained_rows(table)):
        measured: dict[tuple[int, int], dict[str, tuple[float, ...]]] = {}
        for i, name in enumerate(table.concepts):
            word = world.word_vectors(CONCEPTS[name].word)
            for j, seed in enumerate(table.seeds):
                found = results.store.training(table.training_id(row, name, seed)) if row.settings.trains else None
                if found is not None:
                    measured[i, j] = _measured(workers, used_vectors(found[0], row.use, lengths, word))
                elif not row.settings.trains and j == 0:
                    measured[i, j] = _measured(workers, word)
        for key in sorted(lengths, reverse=True) if measured else ():
            values = np.full((3, len(table.concepts), len(table.seeds)), np.nan)
            for (i, j), both in measured.items():
                values[:, i, j] = both[key]
            lines.append([row.label, key, *(bootstrap(values[n]) for n in range(3))])
    header = ["", "encoder", "norm", "position share (Effect I)", "degrees per block (Effect II)"]
    return markdown(lines, header)


def _measured(workers: Workers, vectors: Mapping[str, Tensor]) -> dict[str, tuple[float, ...]]:
    found = effects(workers.world, vectors)
    return {key: dataclasses.astuple(one) for key, one in found.items()}


def _slerp(folder: Path, scale: Scale, table: Table, results: Results, workers: Workers) -> list[str]:
    """Figure 4 for pairs of concepts that have been trained, by both ways for both methods."""
    how = Sampling(steps=scale.examination.steps, guidance=scale.examination.guidance)
    pictures, lines = [], []
    for pair in scale.pairs:
        for label in ("DTI", "TI"):
            ids = [table.training_id(table.row(label), name, table.seeds[0]) for name in pair]
            found = [results.store.training(name) for name in ids]
            for way in ("slerp", "lerp") if all(found) else ():
                a, b = (item[0][0] for item in found if item is not None)
                shown, smooth = slerp_row(workers.world, a, b, way, how, SLERP_SEEDS)
                pictures.append(shown)
                lines.append([" to ".join(pair), f"{label} {way}", *(f"{x:.3f}" for x in dataclasses.astuple(smooth))])
    if not pictures:
        return []
    save_rows(pictures, folder / "figure4.png")
    header = ["", "", "largest step (0.1 is even)", "detour (1 is straight)", "ends apart (rad)"]
    return ["## Between two embeddings", "![rows in the order of the table](figure4.png)", markdown(lines, header)]
