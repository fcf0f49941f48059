"""Rules see one half of the prompts and are held to the other."""

from __future__ import annotations

import numpy as np
from paper_tables.choose import INTERVAL, LAST, LOSS, MERIT, judged, table_of_choices
from paper_tables.plan import REPORT, Row, Table
from paper_tables.results import Results
from paper_tables.settings import Settings, Use
from paper_tables.store import Store

WORD = Row("class word", Settings("class_word"))
STEPS = tuple(Row(f"{step}", Settings(), Use(step=step)) for step in (50, 100, 0))


def stored(tmp_path, images):
    """Scores of three steps with likeness by prompt `images[step]`, all with the same text, for two subjects."""
    results = Results(Store(tmp_path / "judge"))
    table = Table("DTI on its way", REPORT, STEPS, ("candy_star", "koi"))
    for concept in table.concepts:
        for row, image in zip((*STEPS, WORD), (*images, [0.1] * 8), strict=True):
            (run,) = table.runs_of(row, concept, 1)
            score = {"image": list(image), "text": [0.9] * 8, "level": [0] * 8, "held": {}}
            results.store.save_score(run.score_id, score)
    return table, results


def test_what_a_rule_takes_is_worth_what_it_has_on_the_prompts_that_it_did_not_see(tmp_path):
    # By the even prompts the first step is best and by the odd ones the second, whichever half is looked at.
    table, results = stored(tmp_path, [[0.8, 0.2] * 4, [0.2, 0.8] * 4, [0.5, 0.5] * 4])
    found = judged(table, np.asarray([[0.3, 0.2, 0.4]] * 2), results, WORD)
    assert [[one.step for one in row] for row in found[INTERVAL]] == [[0, 1]] * 2
    assert [[round(one.image, 6) for one in row] for row in found[INTERVAL]] == [[0.2, 0.2]] * 2
    assert {one.step for row in found[LAST] for one in row} == {2}
    assert {one.step for row in found[LOSS] for one in row} == {1}
    assert all(one.short > 0 for row in found[MERIT] for one in row)
    said = table_of_choices(found)
    assert f"| {LAST} | 0.000 |" in said
    assert f"| {INTERVAL} | 0.000 |" in said and "-0.300" in said  # likeness, less the last


def test_subjects_that_are_not_whole_are_left_out(tmp_path):
    table, results = stored(tmp_path, [[0.8] * 8, [0.7] * 8, [0.6] * 8])
    losses = np.asarray([[0.3, 0.2, 0.4], [np.nan] * 3])
    assert [len(rows) for rows in judged(table, losses, results, WORD).values()] == [1] * 6
