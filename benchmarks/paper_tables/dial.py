"""Load DTI Embedding's dial between the class word and the embedding: is it better than fewer steps, or more kappa?

python -m paper_tables.dial OUT --comfyui COMFYUI [--minutes N]
Run it in benchmarks/, in ComfyUI's environment. OUT keeps every score; trainings come from results.zip.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from dti_pack.dti_core.scoring.intervals import DRAWS, Interval, Values, bootstrap

from . import archive, curves, main_tables
from .job import jobs_of
from .plan import REPORT, WHOLE, Row, Scale, Table
from .recipe import recipe_table
from .results import Results
from .settings import AS_TRAINED, Settings, Use
from .store import Store
from .tables import markdown
from .workers import Workers, places_in

log = logging.getLogger(__name__)
AXES = ("image", "text")
# Closer where most of the change is.
POSITIONS = (0.0, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0)
REPORTING, CHOOSING, OF_TI = "DTI", "DTI on the choosing half", "TI"


@dataclass(frozen=True)
class Comparison:
    """A dial, and rows along other knobs that were tried on the same subjects, seeds and prompts."""

    dial: Table
    others: Table
    labels: tuple[str, ...]


def dial_table(name: str, settings: Settings, concepts: Sequence[str], images: int) -> Table:
    """A row for each position; with the class word's rows a prompt is that of the class word."""
    between = [Row(f"{t:g}", settings, Use(norm_share=1 - t, turn_share=1 - t)) for t in POSITIONS[1:-1]]
    rows = (Row("0", Settings("class_word")), *between, Row("1", settings, AS_TRAINED))
    return Table(name, REPORT, rows, tuple(concepts), (1,), images, WHOLE.examination)


def dials(scale: Scale) -> tuple[Table, Table, Table]:
    """What is measured, of one training seed."""
    dti, ti = scale.of("dti"), scale.of("ti")
    return (
        dial_table(REPORTING, dti, scale.reporting, scale.sampling_seeds),
        dial_table(CHOOSING, dti, scale.choosing, scale.sampling_seeds),
        dial_table(OF_TI, ti, scale.reporting, 1),
    )


def comparisons(scale: Scale) -> Iterator[Comparison]:
    """Each on the images that both have: a curve along steps has one of each prompt."""
    reporting, choosing, of_ti = dials(scale)
    steps = next(table for table in curves.step_tables(scale) if table.rows[-1].settings == scale.of("dti"))
    norms, _, shares = curves.strength_tables(scale)
    once = replace(reporting, sampling_seeds=1)
    yield Comparison(once, steps, tuple(row.label for row in steps.rows[:-1]))
    yield Comparison(reporting, replace(main_tables.table_3(scale), seeds=reporting.seeds), ("kappa 0", "kappa 5e-4"))
    yield Comparison(choosing, recipe_table(scale), ("kappa 0.03 x gradient", "kappa 0.1 x gradient"))
    yield Comparison(of_ti, norms, tuple(row.label for row in norms.rows))
    yield Comparison(of_ti, shares, tuple(row.label for row in shares.rows))


def at_same_image(dial: tuple[Values, Values], other: tuple[Values, Values]) -> tuple[Interval, Interval] | None:
    """The dial's text at the other's mean image, between its positions linearly; and that less the other's text.

    dial: image and text, [positions, concepts]. other: [concepts]. Intervals over concepts, all drawn alike. None where
    the other's image lies outside of the dial's.
    """
    image, text = dial
    if not np.isfinite([*image.ravel(), *text.ravel(), *other[0], *other[1]]).all():
        return None
    if not image.mean(1).min() <= other[0].mean() <= image.mean(1).max():
        return None
    drawn = np.random.default_rng(0).integers(image.shape[1], size=(DRAWS, image.shape[1]))
    everyone = np.arange(image.shape[1])
    found = []
    for who in (everyone, *drawn):
        xs, order = image[:, who].mean(1), np.argsort(image[:, who].mean(1))
        at = float(np.interp(other[0][who].mean(), xs[order], text[:, who].mean(1)[order]))
        found.append((at, at - float(other[1][who].mean())))
    values = np.asarray(found)
    low, high = np.percentile(values[1:], (2.5, 97.5), axis=0)
    own, less = (Interval(values[0, n], low[n], high[n], image.shape[1]) for n in (0, 1))
    return own, less


def report(scale: Scale, results: Results) -> str:
    """The curves, then the dial beside each other knob."""
    lines = [
        [table.name, row.label, *(bootstrap(results.values(table, row, axis)) for axis in ("image", "text"))]
        for table in dials(scale)
        for row in table.rows
    ]
    parts = [markdown(lines, ["of", "dial", "Image", "Text"])]
    lines = []
    for one in comparisons(scale):
        dial = tuple(np.stack([_means(one.dial, row, axis, results) for row in one.dial.rows]) for axis in AXES)
        for label in one.labels:
            row = one.others.row(label)
            image, text = (_means(one.others, row, axis, results) for axis in AXES)
            found = at_same_image((dial[0], dial[1]), (image, text))
            beside = ("-", "-") if found is None else found
            lines.append([label, one.dial.name, bootstrap(image[:, None]), bootstrap(text[:, None]), *beside])
    parts += [
        "The dial at the same image (draws of subjects beyond the dial's ends count as at its end: intervals near 1 "
        "are a little narrow):"
    ]
    parts += [markdown(lines, ["", "dial of", "Image", "Text", "the dial's text there", "the dial's, less"])]
    return "\n\n".join(parts)


def _means(table: Table, row: Row, axis: str, results: Results) -> Values:
    """[concepts], over the training seeds."""
    return np.asarray(results.values(table, row, axis).mean(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--minutes", type=float, help="stop starting new runs after this time")
    options = parser.parse_args()
    places = places_in(options.out, options.comfyui)
    archive.unpack(options.out)
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    with Workers(places, 1, deadline) as workers:
        for table in dials(WHOLE):
            workers.finish(jobs_of(table.runs(), WHOLE.checkpoint_every))
    text = report(WHOLE, Results(Store(places.results)))
    (places.results / "dial.md").write_text(text + "\n", encoding="utf-8")
    log.info("\n%s", text)


if __name__ == "__main__":
    main()
