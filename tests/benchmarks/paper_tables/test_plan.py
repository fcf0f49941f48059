"""Who chooses and who reports, and what tells runs apart."""

from __future__ import annotations

import dataclasses

import pytest
from paper_tables.job import jobs_of
from paper_tables.main_tables import chosen_settings, improved_settings, main_tables, merit, merits
from paper_tables.plan import CHOOSE, CHOOSING, CUT, REPORT, REPORTING, WHOLE, Row, Run, Table
from paper_tables.settings import Settings, Use
from paper_tables.sweeps import deciding_tables, showing_tables


@pytest.mark.parametrize("scale", [WHOLE, CUT], ids=["whole", "cut"])
def test_nothing_is_chosen_on_a_subject_that_reports(scale):
    for table in (*deciding_tables(scale), *showing_tables(scale)):
        assert table.purpose == CHOOSE
        assert not {run.concept for run in table.runs()} & set(REPORTING)
    for table in main_tables(scale, lambda run: None):
        assert table.purpose == REPORT
        with pytest.raises(ValueError, match="reports"):
            merits(table, lambda run: (1.0, 1.0))
    with pytest.raises(ValueError, match="must not see zebra_cat"):
        Table("sweep", CHOOSE, (Row("DTI", Settings()),), ("candy_star", "zebra_cat"))
    assert len(REPORTING) == len(CHOOSING) == 7


def test_the_best_of_the_choosing_half_goes_into_the_main_table():
    def axes(run: Run) -> tuple[float, float]:
        settings = run.settings
        assert run.concept in CHOOSING
        good = settings.learning_rate == 2e-3 and settings.method == "ti" and not run.use.length
        return (0.9, 0.9) if good or settings.decay == "linear" else (0.5, 0.5)

    assert chosen_settings(WHOLE, axes)["ti"].learning_rate == 2e-3
    assert chosen_settings(WHOLE, axes)["ti_rescaled"].learning_rate == 5e-4
    base = chosen_settings(WHOLE, axes)["dti"]
    improved = improved_settings(WHOLE, axes, base)
    assert improved == dataclasses.replace(base, decay="linear")
    best = next(table for table in main_tables(WHOLE, axes) if "at its best" in table.name)
    assert improved in [row.settings for row in best.rows]


def test_what_pays_at_one_length_is_not_taken_at_another():
    def axes(run: Run) -> tuple[float, float]:
        good = run.settings.average == 100 or (run.settings.stratified and run.settings.steps == 200)
        return (0.9, 0.9) if good else (0.5, 0.5)

    short, long = Settings(steps=WHOLE.steps), Settings(steps=WHOLE.reference_steps)
    assert improved_settings(WHOLE, axes, short) == dataclasses.replace(short, stratified=True)
    assert improved_settings(WHOLE, axes, long) == dataclasses.replace(long, average=100)


def test_merit_wants_both():
    assert merit(0.5, 0.5) == pytest.approx(0.5)
    assert merit(0.9, 0.1) < 0.2
    assert merit(-0.1, 0.9) == 0


def test_ids_tell_runs_apart_and_share_trainings():
    run = Run("candy_star", 1, Settings())
    rescaled = dataclasses.replace(run, use=Use(length=1.0))
    assert run.training_id == rescaled.training_id == Run("candy_star", 1, Settings()).training_id
    cut = dataclasses.replace(run, examination=CUT.examination)
    assert len({run.score_id, rescaled.score_id, cut.score_id}) == 3
    assert run.training_id != Run("candy_star", 2, Settings()).training_id
    (job,) = jobs_of([run, rescaled, run], 50)
    assert job.runs == (run, rescaled)
