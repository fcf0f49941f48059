"""Who chooses and who reports, in which order, and what tells runs apart."""

from __future__ import annotations

import dataclasses

import pytest
from paper_tables.budget import Amount, amount
from paper_tables.curves import step_tables
from paper_tables.job import jobs_of
from paper_tables.main_tables import table_2
from paper_tables.plan import CHOOSE, CHOOSING, CUT, REPORTING, WHOLE, Row, Run, Table
from paper_tables.recipe import BASE, gains, improved_settings, merit, recipe_table
from paper_tables.results import Results
from paper_tables.settings import RESCALED, Settings, as_json
from paper_tables.stages import NAMES, stage
from paper_tables.store import Store


def scored(store: Store, table: Table, values: dict[str, float]) -> Results:
    """Every run of the table with that image and text by row, 0.5 where none is named; subjects differ a little."""
    for row in table.rows:
        for number, concept in enumerate(table.concepts):
            value = values.get(row.label, 0.5) + 0.001 * number
            for seed in table.seeds:
                for run in table.runs_of(row, concept, seed):
                    store.save_score(run.score_id, {"image": [value], "text": [value], "level": [0], "held": {}})
    return Results(store)


@pytest.mark.parametrize("scale", [WHOLE, CUT], ids=["whole", "cut"])
def test_nothing_is_chosen_on_a_subject_that_reports(scale, tmp_path):
    for name in NAMES:
        for table in stage(name, scale, Settings()).tables:
            assert (table.purpose == CHOOSE) == (name in ("choosing", "recipe", "held_out", "sampler"))
            if table.purpose == CHOOSE:
                assert not {run.concept for run in table.runs()} & set(REPORTING)
            else:
                assert not {run.concept for run in table.runs()} & set(CHOOSING)
                with pytest.raises(ValueError, match="reports"):
                    gains(table, Results(Store(tmp_path)))
    with pytest.raises(ValueError, match="must not see night_star"):
        Table("sweep", CHOOSE, (Row("DTI", Settings()),), ("candy_star", "night_star"))
    assert len(REPORTING) == len(CHOOSING) == 7


def test_what_pays_beyond_its_interval_goes_into_the_recipe(tmp_path):
    table = recipe_table(WHOLE)
    base = table.row(BASE).settings
    assert improved_settings(WHOLE, Results(Store(tmp_path))) is None
    results = scored(Store(tmp_path / "none"), table, {})
    assert improved_settings(WHOLE, results) is None  # nothing pays
    better = {"stratified noise levels": 0.6, "kappa 0.03 x gradient": 0.7, "kappa 0.1 x gradient": 0.6}
    results = scored(Store(tmp_path / "some"), table, better)
    assert improved_settings(WHOLE, results) == dataclasses.replace(base, stratified=True, kappa_share=0.03)
    # A gain on one subject of seven is within the interval.
    (run,) = table.runs_of(table.row("mean of the last quarter"), "koi", 1)[:1]
    score = {"image": [0.9], "text": [0.9], "level": [0], "held": {}}
    results.store.save_score(run.score_id, score)
    fresh = Results(results.store)
    gain = gains(table, fresh)["mean of the last quarter"]
    assert gain.mean > 0 >= gain.low
    assert improved_settings(WHOLE, fresh) == dataclasses.replace(base, stratified=True, kappa_share=0.03)


def test_merit_wants_both():
    assert merit(0.5, 0.5) == pytest.approx(0.5)
    assert merit(0.9, 0.1) < 0.2
    assert merit(-0.1, 0.9) == 0


def test_stages_add_up_and_train_nothing_twice():
    seen: set[str] = set()
    fresh = {}
    for name in NAMES:
        trained = {run.training_id for run in stage(name, WHOLE, None).runs() if run.settings.trains}
        fresh[name] = len(trained - seen)
        seen |= trained
    # Five methods on seven subjects, then two more seeds of them; the way of a training is seen in its checkpoints.
    assert (fresh["main"], fresh["seeds"], fresh["steps"], fresh["strengths"], fresh["improved"]) == (35, 70, 0, 0, 0)
    # Beside the choosing half's, one of each subject on three of its images, of which two steps are tried.
    assert fresh["held_out"] == len(CHOOSING)
    main, seeds = stage("main", WHOLE, None), stage("seeds", WHOLE, None)
    assert {*main.runs(), *seeds.runs()} == {*table_2(WHOLE).runs()}
    assert not stage("seeds", CUT, None).tables
    with pytest.raises(ValueError, match="no stage 'sweeps'"):
        stage("sweeps", WHOLE, None)


def test_a_way_ends_at_what_the_main_table_has():
    main = {run for run in table_2(WHOLE).runs() if run.seed == 1}
    for table in step_tables(WHOLE):
        steps = [row.use.step for row in table.rows]
        assert steps == [50, 100, 150, 200, 250, 300, 350, 0]
        assert {run for run in table.runs() if run.use.step == 0} <= main


def test_an_estimate_counts_every_training_once():
    runs = [run for name in ("main", "steps") for run in stage(name, WHOLE, None).runs()]
    whole = amount(jobs_of(runs, WHOLE.checkpoint_every))
    assert (whole.trainings, whole.steps) == (35, 35 * 400)
    first = amount(jobs_of(stage("main", WHOLE, None).runs(), WHOLE.checkpoint_every))
    assert whole - first == Amount(0, 0, 5 * 7 * 7 * 40)


def test_ids_tell_runs_apart_and_share_trainings():
    run = Run("candy_star", 1, Settings())
    rescaled = dataclasses.replace(run, use=RESCALED)
    assert run.training_id == rescaled.training_id == Run("candy_star", 1, Settings(learning_rate=0.04)).training_id
    assert as_json(Settings(stratified=True)) == {"method": "dti", "learning_rate": 0.04, "stratified": True}
    cut = dataclasses.replace(run, examination=CUT.examination)
    assert len({run.score_id, rescaled.score_id, cut.score_id}) == 3
    assert run.training_id != Run("candy_star", 2, Settings()).training_id
    (job,) = jobs_of([run, rescaled, run], 50)
    assert job.runs == (run, rescaled)
    # As stored results are called.
    assert (run.training_id, run.score_id) == ("b8393dddc18123b5", "b72d456c1914a0f3")
