"""From results to report.md and its pictures; what is not done yet shows as such."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from small_world.sample import Sampling

from . import figures
from .effects import effects, word_vectors
from .main_tables import main_tables
from .plan import CONCEPTS, Row, Scale, Table
from .results import Results
from .settings import REFERENCES
from .slerp_rows import row as slerp_row
from .slerp_rows import save_rows
from .sweeps import deciding_tables, showing_tables, strength_table
from .tables import markdown, table_of_attributes, table_of_differences, table_of_scores
from .workers import Workers

SLERP_SEEDS = 4


def write_report(folder: Path, scale: Scale, results: Results, workers: Workers) -> Path:
    """report.md with its pictures beside it; rows without a run show dashes."""
    main, sweeps = main_tables(scale, results.axes), [*deciding_tables(scale), *showing_tables(scale)]
    number, seconds = results.seconds([*main, *sweeps])
    parts = ["# The paper's tables on the small world", _preface(folder, scale, workers)]
    parts += [f"{number} trainings took {seconds / 3600:.1f} hours of one worker; what pictures took comes on top."]
    for table in main:
        parts += [f"## {table.name}", table_of_scores(table, results)]
        if any(row.label == "TI" for row in table.rows):
            parts += ["Differences, run by run, where both are done:", table_of_differences(table, results, "TI")]
        if any(row.label == "DTI improved" for row in table.rows):
            parts += [table_of_differences(table, results, "DTI")]
            improved = next(row for row in table.rows if row.label == "DTI improved")
            parts += [f"DTI improved is: {_shown(improved.settings)}"]
    references, best, reference = main[:3]
    for table, name in ((best, "front.png"), (reference, "front_reference.png")):
        parts += [f"## Text by attribute: {table.name}", table_of_attributes(table, results)]
        figures.front([references, table], results, folder / name)
        parts += [f"![image against text]({name})"]
    parts += ["# Settings, on the choosing half"]
    for table in sweeps:
        parts += [f"## {table.name}", table_of_scores(table, results)]
    if scale.sweeps:
        figures.strengths(_strengths(strength_table(scale), results), folder / "strength.png")
        parts += ["![strength](strength.png)"]
    for table, name in ((best, "norms.png"), (reference, "norms_reference.png")):
        parts += [f"# Norms over training: {table.name}", _norms(folder / name, table, results)]
    for table in (best, reference):
        parts += [f"# Effects I and II: {table.name}", _effects(table, results, workers)]
    parts += _slerp(folder, scale, best, results, workers)
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _preface(folder: Path, scale: Scale, workers: Workers) -> str:
    trust = workers.world.trust
    measured = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))["subjects"]
    lengths = ", ".join(f"{key} {norm:.2f}" for key, norm in workers.world.lengths().items())
    left_out = [f"{name} ({share:.2f})" for name, share in measured.items() if name not in trust.subjects]
    return (
        "Image: cosine with the subject's pictures in the judge's embedding; of styles, share of their looks that "
        "hold. Text: share of what the prompt asks for that holds. Length: mean norm of the vectors (m*: "
        f"{lengths}). In brackets 95 % bootstrap intervals over subjects "
        "and training seeds. `both` is the harmonic mean, by which settings are chosen, on "
        f"{', '.join(scale.choosing)} and no others. Judged are {', '.join(sorted(trust.subjects))}; not judged, since "
        f"the judge reads too few drawings of it right (share): {', '.join(left_out) or 'nothing'}."
    )


def _shown(settings: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in dataclasses.asdict(settings).items())  # type: ignore[call-overload]


def _strengths(table: Table, results: Results) -> dict[str, list[tuple[float, float, str]]]:
    curves: dict[str, list[tuple[float, float, str]]] = {"TI": [], "DTI": []}
    for row in table.rows:
        image, text = (float(np.nanmean(results.values(table, row, axis))) if _any(table, row, results) else np.nan
                       for axis in ("image", "text"))  # fmt: skip
        if np.isfinite(image):
            curves[row.label.split()[0]].append((image, text, f"{row.use.length:g}"))
    return curves


def _any(table: Table, row: Row, results: Results) -> bool:
    return bool(np.isfinite(results.values(table, row, "image")).any())


def _trained_rows(table: Table) -> list[Row]:
    return [row for row in table.rows if row.settings.method not in REFERENCES and not row.use.length]


def _norms(path: Path, table: Table, results: Results) -> str:
    """Length of the vectors over training, mean over concepts, of the first encoder and the second."""
    curves: dict[str, list[figures.Line]] = {}
    for row in _trained_rows(table):
        found = [results.store.training(table.training_id(row, name, table.seeds[0])) for name in table.concepts]
        histories = [notes["history"] for _, notes in filter(None, found)]
        if histories:
            steps = [note["step"] for note in histories[0]]
            for key in sorted(histories[0][0]["norm"], reverse=True):
                norms = [[note["norm"][key] for note in history] for history in histories]
                curves.setdefault(row.label, []).append((key, steps, np.mean(norms, axis=0).tolist()))
    figures.lines(curves, path, "step", "length of the learned vector", log_y=True)
    return f"![norms]({path.name})"


def _effects(table: Table, results: Results, workers: Workers) -> str:
    """Both effects by method and encoder, means over the concepts' first seed."""
    lines: list[Sequence[object]] = []
    for row in (None, *_trained_rows(table)):
        measured = []
        for name in table.concepts:
            if row is None:
                measured.append(effects(workers.world, word_vectors(workers.world, CONCEPTS[name].word)))
                continue
            found = results.store.training(table.training_id(row, name, table.seeds[0]))
            if found is not None:
                measured.append(effects(workers.world, found[0][0]))
        for key in sorted(measured[0], reverse=True) if measured else ():
            means = [np.mean([dataclasses.astuple(one[key])[n] for one in measured]) for n in range(3)]
            lines.append([row.label if row else "class word", key, *(f"{mean:.3f}" for mean in means)])
    header = ["", "encoder", "norm", "position share (Effect I)", "degrees per block (Effect II)"]
    return markdown(lines, header)


def _slerp(folder: Path, scale: Scale, table: Table, results: Results, workers: Workers) -> list[str]:
    """Figure 4 for pairs of reporting concepts that have been trained."""
    by_label = {row.label: row for row in table.rows}
    how = Sampling(steps=scale.examination.steps, guidance=scale.examination.guidance)
    pictures, lines = [], []
    for pair in scale.pairs:
        for label, way in (("DTI", "slerp"), ("TI", "lerp")):
            found = [results.store.training(table.training_id(by_label[label], name, table.seeds[0]))
                     for name in pair]  # fmt: skip
            if all(found):
                a, b = (item[0][0] for item in found if item is not None)
                shown, smooth = slerp_row(workers.world, a, b, way, how, SLERP_SEEDS)
                pictures.append(shown)
                lines.append([" to ".join(pair), f"{label} {way}", *(f"{x:.3f}" for x in dataclasses.astuple(smooth))])
    if not pictures:
        return []
    save_rows(pictures, folder / "figure4.png")
    header = ["", "", "largest step (0.1 is even)", "detour (1 is straight)", "ends apart (rad)"]
    return ["# Between two words", "![rows in the order of the table](figure4.png)", markdown(lines, header)]
