"""Which of a run's steps to take: what do rules choose that see scores of half of the prompts, held against the rest?

python -m paper_tables.choose OUT --comfyui COMFYUI [--half choosing|both]
Run it in benchmarks/, after the stages `main`, `choosing` and `steps`. It trains nothing. Of the reporting half all
scores are there, of the choosing half it makes those of the steps of TI and DTI; and it measures every step's loss on
fresh drawings; both are TI and DTI on all subjects. All is kept in OUT. Writes choose_reporting.md and so on there.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from dti_pack.dti_core.scoring.choice import Scores, choose_by_share, choose_within_interval
from dti_pack.dti_core.scoring.intervals import Values, bootstrap

from . import archive, curves, main_tables
from .held_out import fresh_losses
from .job import jobs_of
from .plan import WHOLE, Row, Scale, Table
from .recipe import merit
from .results import Results
from .store import Store
from .tables import markdown
from .workers import Workers, places_in

log = logging.getLogger(__name__)
SHARES = (0.95, 0.8)
CLOSE = 0.01  # in the harmonic mean of image and text
LAST, INTERVAL, LOSS, MERIT = "the last", "within the interval of the best", "lowest loss", "the most of both"


@dataclass(frozen=True)
class Marks:
    """What a step that was chosen is worth on prompts that it was not chosen by. short: of the best step's both."""

    step: int
    image: float
    text: float
    both: float
    short: float


def judged(table: Table, losses: Values, results: Results, floor: Row) -> dict[str, list[list[Marks]]]:
    """By rule, for each subject, the step that it takes in either half, on the prompts of the other half."""
    found: dict[str, list[list[Marks]]] = {}
    for number, concept in enumerate(table.concepts):
        seed = table.seeds[0]
        steps = [results.score(table.runs_of(row, concept, seed)[0]) for row in table.rows]
        word = results.score(table.runs_of(floor, concept, seed)[0])
        if word is None or any(one is None for one in steps) or not np.isfinite(losses[number]).all():
            continue
        kept = [_split(one) for one in steps if one is not None]
        for half in (0, 1):
            seen, unseen = ([one[part] for one in kept] for part in (half, 1 - half))
            image_floor = _split(word)[half].image
            assert image_floor is not None
            for rule, step in _choices(seen, image_floor, losses[number]).items():
                found.setdefault(rule, [[] for _ in table.concepts])[number].append(_marks(step, unseen))
    return {rule: [of_concept for of_concept in rows if of_concept] for rule, rows in found.items()}


def table_of_choices(found: Mapping[str, Sequence[Sequence[Marks]]]) -> str:
    """A line for each rule: how often it is within CLOSE of the best step, and what it gains over the last step and
    over the lowest loss, with 95 % intervals over subjects."""
    lines = []
    for rule, rows in found.items():
        close = bootstrap(np.array([[one.short <= CLOSE for one in row] for row in rows], float))
        short = bootstrap(np.array([[one.short for one in row] for row in rows]))
        gains = [_gain(rows, found[LAST], axis) for axis in ("image", "text", "both")] if rule != LAST else ["", "", ""]
        over_loss = _gain(rows, found[LOSS], "both") if rule not in (LAST, LOSS) else ""
        lines.append([rule, close, short, *gains, over_loss])
    over = [f"{axis}, less the last" for axis in ("image", "text", "both")]
    return markdown(lines, ["takes", f"within {CLOSE} of the best", "short of it", *over, "both, less the lowest loss"])


def tables_of(scale: Scale, half: str) -> list[Table]:
    """Steps of every method on the reporting half; of those that the other half has too, there or on both."""
    tables = curves.step_tables(scale)
    if half == "reporting":
        return tables
    trained = {row.settings for row in main_tables.choosing_table(scale).rows}
    concepts = scale.choosing if half == "choosing" else (*scale.reporting, *scale.choosing)
    return [replace(table, concepts=concepts) for table in tables if table.rows[-1].settings in trained]


def all_losses(tables: Sequence[Table], results: Results, kept: Path, workers: Workers) -> list[Values]:
    """Of each table's steps [concepts, rows], measured where they are not in the file `kept` yet."""
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for table in (table for table in tables if table.name not in known):
        known[table.name] = fresh_losses(table, results, workers.world).tolist()
        kept.write_text(json.dumps(known), encoding="utf-8")
        log.info("%s: losses measured", table.name)
    return [np.array(known[table.name], float) for table in tables]


def report(scale: Scale, results: Results, tables: Sequence[Table], losses: Sequence[Values]) -> str:
    floor = main_tables.table_2(scale).row("class word")
    by_method = {
        table.name.removesuffix(" on its way"): judged(table, values, results, floor)
        for table, values in zip(tables, losses, strict=True)
    }
    by_method = {name: found for name, found in by_method.items() if found}
    together: dict[str, list[list[Marks]]] = {}
    for rule in next(iter(by_method.values())):
        of_methods = [found[rule] for found in by_method.values()]
        together[rule] = [[one for row in rows for one in row] for rows in zip(*of_methods, strict=True)]
    parts = [f"## All {len(by_method)} methods\n\n{table_of_choices(together)}"]
    parts += [f"## {name}\n\n{table_of_choices(found)}" for name, found in by_method.items()]
    return "\n\n".join(parts)


def _split(score: Mapping[str, Sequence[float | None]]) -> tuple[Scores, Scores]:
    """Every other prompt, and the rest; prompts that the judge reads nothing of have no text."""
    text, image = score["text"], score["image"]
    first, second = (
        Scores(
            np.array(image[half::2], float)[:, None],
            np.array([value for value in text[half::2] if value is not None])[:, None],
        )
        for half in (0, 1)
    )
    return first, second


def _choices(seen: Sequence[Scores], floor: Values, losses: Values) -> dict[str, int]:
    shares = {f"keeps {share:g} of the likeness": choose_by_share(seen, floor, share).chosen for share in SHARES}
    return {
        LAST: len(seen) - 1,
        LOSS: int(losses.argmin()),
        INTERVAL: choose_within_interval(seen).chosen,
        **shares,
        MERIT: int(np.argmax([_both(one) for one in seen])),
    }


def _marks(step: int, unseen: Sequence[Scores]) -> Marks:
    own = unseen[step]
    assert own.image is not None and own.text is not None
    best = max(_both(one) for one in unseen)
    return Marks(step, float(own.image.mean()), float(own.text.mean()), _both(own), best - _both(own))


def _both(one: Scores) -> float:
    if one.image is None or one.text is None:
        return math.nan
    return merit(float(one.image.mean()), float(one.text.mean()))


def _gain(rows: Sequence[Sequence[Marks]], others: Sequence[Sequence[Marks]], axis: str) -> str:
    pairs = [
        [getattr(a, axis) - getattr(b, axis) for a, b in zip(row, other, strict=True)]
        for row, other in zip(rows, others, strict=True)
    ]
    return str(bootstrap(np.array(pairs)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Which of a run's steps to take, by rules.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--half", choices=("reporting", "choosing", "both"), default="reporting")
    options = parser.parse_args()
    places = places_in(options.out, options.comfyui)
    archive.unpack(options.out)
    folder, results, tables = places.results, Results(Store(places.results)), tables_of(WHOLE, options.half)
    with Workers(places, 1, None) as workers:
        workers.finish(jobs_of((run for table in tables for run in table.runs()), WHOLE.checkpoint_every))
        losses = all_losses(tables, results, folder / f"choose_{options.half}_losses.json", workers)
    text = report(WHOLE, results, tables, losses)
    (folder / f"choose_{options.half}.md").write_text(text + "\n", encoding="utf-8")
    log.info("\n%s", text)


if __name__ == "__main__":
    main()
