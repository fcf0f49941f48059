"""Scores as text for a person, as files, and as entries of an embedding's header."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...dti_core.scoring.choice import Scores
from ...dti_core.scoring.intervals import Interval
from ...dti_core.scoring.table import Row, ScoreTable, Standing

# Before the entries of a header that come from here.
SCORE_NOTE = "dti.score."
CEILING = "your images, to each other"


@dataclass(frozen=True)
class Circumstances:
    """What the scores were measured by. settings: by name, as they go into the files."""

    word: str
    prompts: Sequence[str]
    seeds: Sequence[int]
    rule: str
    settings: Mapping[str, Any]


def report_text(table: ScoreTable, how: Circumstances, notes: Sequence[str]) -> str:
    """A line for each embedding, what was chosen and why, and what is to be kept in mind."""
    count = len(how.prompts) * len(how.seeds)
    head = (
        f"{len(table.labels)} {'embedding' if len(table.labels) == 1 else 'embeddings'}, {count} images of each "
        f"({len(how.prompts)} prompts, {len(how.seeds)} seeds); "
        "in brackets 95 % intervals over prompts and seeds, differences pair by pair."
    )
    word = table.word_row(f"the class word {how.word!r}")
    rows = [word, *table.rows()]
    wide = max(len(label) for label in (CEILING, *(row.label for row in rows))) + 2
    lines = []
    for name in ("image", "text"):
        lines += _axis(name, rows, wide, None if name == "text" else table.ceiling, table.choice.chosen)
    chosen = table.labels[table.choice.chosen]
    among = [table.labels[number] for number in table.choice.eligible]
    said = f"Chosen: {chosen}, by the rule: {how.rule}."
    if len(among) > 1:
        said += f" It was chosen among {', '.join(among)}."
    return "\n".join([head, *lines, "", said, *notes])


def table_csv(table: ScoreTable, how: Circumstances) -> str:
    """A line for each embedding and for the class word."""
    out = io.StringIO()
    axes = [f"{axis}{part}" for axis in ("image", "text") for part in _PARTS]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["embedding", "chosen", *axes, "image_way"])
    for number, row in enumerate([table.word_row(how.word), *table.rows()]):
        values = [value for standing in (row.image, row.text) for value in _numbers(standing)]
        way = "" if row.image is None or math.isnan(row.image.way) else f"{row.image.way:.6g}"
        writer.writerow([row.label, int(number == table.choice.chosen + 1), *values, way])
    return out.getvalue()


def table_json(table: ScoreTable, how: Circumstances, notes: Sequence[str]) -> str:
    """Everything, each image's own scores too: [prompts, seeds] in the order of prompts and seeds."""
    content = {
        **asdict(how),
        "ceiling": None if math.isnan(table.ceiling) else table.ceiling,
        "class_word": _values(table.word),
        "embeddings": [{"name": label, **_values(own)} for label, own in zip(table.labels, table.scores, strict=True)],
        "chosen": table.labels[table.choice.chosen],
        "chosen_among": [table.labels[number] for number in table.choice.eligible],
        "notes": list(notes),
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def header_notes(table: ScoreTable, how: Circumstances) -> dict[str, str]:
    """Entries for the header of the embedding that was chosen."""
    row = table.rows()[table.choice.chosen]
    notes = {
        f"{SCORE_NOTE}rule": how.rule,
        f"{SCORE_NOTE}class_word": how.word,
        f"{SCORE_NOTE}images": f"{len(how.prompts)} prompts x {len(how.seeds)} seeds",
        f"{SCORE_NOTE}chosen_among": json.dumps(list(table.labels), ensure_ascii=False),
    }
    for axis, standing in (("image", row.image), ("text", row.text)):
        if standing is not None:
            notes[f"{SCORE_NOTE}{axis}"] = str(standing.mean)
            notes[f"{SCORE_NOTE}{axis}_more_than_class_word"] = str(standing.more)
            notes[f"{SCORE_NOTE}{axis}_scorer"] = str(how.settings[f"{axis}_scorer"])
    if not math.isnan(table.ceiling):
        notes[f"{SCORE_NOTE}image_ceiling"] = f"{table.ceiling:.3f}"
    return notes


_PARTS = ("", "_low", "_high", "_more", "_more_low", "_more_high")


def _axis(name: str, rows: Sequence[Row], wide: int, ceiling: float | None, chosen: int) -> list[str]:
    standings: list[Standing | None] = [getattr(row, name) for row in rows]
    if standings[0] is None:
        return ["", f"{name}: not scored"]
    lines = ["", f"{name:<{wide}}{'mean':<24}more than the class word"]
    for number, (row, standing) in enumerate(zip(rows, standings, strict=True)):
        assert standing is not None
        more = "" if number == 0 else _signed(standing.more)
        if not math.isnan(standing.way):
            more += f"  {100 * standing.way:.0f} % of the way to the images' own"
        mark = "  <- chosen" if number == chosen + 1 else ""
        lines.append(f"{row.label:<{wide}}{standing.mean!s:<24}{more}{mark}".rstrip())
    if ceiling is not None and not math.isnan(ceiling):
        lines.append(f"{CEILING:<{wide}}{ceiling:.3f}")
    return lines


def _signed(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{interval.mean:+.3f}"
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _numbers(standing: Standing | None) -> list[str]:
    if standing is None:
        return [""] * len(_PARTS)
    return [f"{value:.6g}" for one in (standing.mean, standing.more) for value in (one.mean, one.low, one.high)]


def _values(scores: Scores) -> dict[str, Any]:
    return {
        axis: None if values is None else values.tolist()
        for axis, values in (("image", scores.image), ("text", scores.text))
    }
