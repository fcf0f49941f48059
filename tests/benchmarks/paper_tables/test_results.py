"""From vectors and pictures to numbers: what is kept, what is trusted, and intervals."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from paper_tables.archive import FILE, pack, unpack
from paper_tables.calibration import _of_styles, _of_things, trusted
from paper_tables.evaluation import demanded, norms, used_vectors
from paper_tables.held_out import fresh_pictures, table_of_losses
from paper_tables.main_tables import table_2
from paper_tables.plan import CHOOSE, CONCEPTS, CUT, WHOLE, Row, Table
from paper_tables.results import Results
from paper_tables.settings import TEA, Settings, Use
from paper_tables.slerp_rows import smoothness
from paper_tables.store import Store
from paper_tables.tables import room_left
from small_world.judge import VALUES
from small_world.subjects import pictures_of


def test_what_the_step_of_the_lowest_loss_is_worth(tmp_path):
    results = Results(Store(tmp_path / "judge"))
    rows = tuple(Row(f"{step}", Settings(), Use(step=step)) for step in (50, 100, 0))
    table = Table("t", CHOOSE, rows, ("candy_star", "koi"))
    for column, row in enumerate(rows):
        for number, concept in enumerate(table.concepts):
            (run,) = table.runs_of(row, concept, 1)
            score = {"image": [0.1 * column], "text": [0.5 + number], "level": [0], "held": {}}
            results.store.save_score(run.score_id, score)
    losses = np.asarray([[0.3, 0.2, 0.4], [0.9, 0.7, 0.5]])
    said = table_of_losses(table, results, losses)
    assert "| 100 | 0.4500 | 1 |" in said and "| 50 | 0.6000 | 0 |" in said
    # Of the first subject a step 0.1 below the last, of the other the last.
    assert "image -0.050" in said and "text 0.000" in said
    assert table_of_losses(table, results, np.full((2, 3), np.nan)) == ""


def test_fresh_drawings_show_the_subject_and_are_none_that_was_trained_on():
    subject = CONCEPTS["koi"]
    trained = {picture.tobytes() for picture in pictures_of(subject)}
    fresh = [picture.tobytes() for picture in fresh_pictures(subject)]
    assert len(set(fresh)) == len(fresh) == 4 and not trained & set(fresh)
    assert fresh == [picture.tobytes() for picture in fresh_pictures(subject)]


def test_more_sampling_seeds_add_to_what_is_there(tmp_path):
    results = Results(Store(tmp_path / "judge"))
    one = Table("t", CHOOSE, (Row("DTI", Settings()),), ("candy_star",), sampling_seeds=1)
    two = dataclasses.replace(one, sampling_seeds=2)
    first, second = two.runs()
    assert [first] == list(one.runs()) and first.training_id == second.training_id
    score = {"text": [1.0, None], "level": [0, 2], "held": {"size": [1, 1]}, "norm": {"in_means": 5}}
    results.store.save_score(first.score_id, score)
    assert results.values(one, one.rows[0], "text").tolist() == [[1.0]]
    assert np.isnan(results.values(two, two.rows[0], "text")).all()
    results.store.save_score(second.score_id, {"text": [0.5, 0.0], "level": [0, 2], "held": {"size": [0, 2]}})
    assert results.values(two, two.rows[0], "text").tolist() == [[0.5]]
    assert results.values(two, two.rows[0], "text", level=0).tolist() == [[0.75]]
    assert results.held(two, two.rows[0]) == {"size": (1, 3)}
    assert results.norm(two, two.rows[0]) == 5


def test_a_half_written_result_is_done_again(tmp_path, caplog):
    store = Store(tmp_path / "judge")
    vectors = {0: {"clip_l": torch.ones(1, 4)}, 50: {"clip_l": torch.zeros(1, 4)}}
    store.save_training("run", vectors, {"history": []})
    store.save_score("run", {"text": [1.0]})
    found = store.training("run")
    assert found is not None
    assert torch.equal(found[0][0]["clip_l"], vectors[0]["clip_l"]) and set(found[0]) == {0, 50}
    assert store.score("run") == {"text": [1.0]}
    for file in tmp_path.rglob("run.*"):
        file.write_bytes(file.read_bytes()[:-7])
    assert store.training("run") is None
    assert store.score("run") is None
    assert "damaged" in caplog.text
    assert store.score("other") is None


def test_packed_results_come_back_and_replace_nothing(tmp_path):
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "results.zip"
    Store(here / "world_1" / "judge_2").save_score("run", {"text": [1.0]})
    Store(here / "world_1" / "judge_2").save_training("run", {0: {"clip_l": torch.ones(1, 4)}}, {"history": []})
    pack(here, file)
    first = file.read_bytes()
    pack(here, file)
    assert file.read_bytes() == first

    Store(there / "world_1" / "judge_2").save_score("run", {"text": [0.0]})
    assert unpack(there, file) == 1
    store = Store(there / "world_1" / "judge_2")
    assert store.score("run") == {"text": [0.0]}
    assert store.training("run") is not None
    assert unpack(there, tmp_path / "none.zip") == 0
    with pytest.raises(ValueError, match="no results"):
        pack(tmp_path / "empty", file)


def test_use_takes_a_step_and_a_length():
    by_step = {0: {"clip_l": torch.tensor([[3.0, 4.0]])}, 50: {"clip_l": torch.tensor([[0.0, 2.0]])}}
    lengths, word = {"clip_l": 0.4}, {"clip_l": torch.tensor([[0.6, 0.0]])}

    def used(use: Use) -> torch.Tensor:
        return used_vectors(by_step, use, lengths, word)["clip_l"]

    assert torch.equal(used(Use()), by_step[0]["clip_l"])
    torch.testing.assert_close(used(Use(step=50, length=0.5)), torch.tensor([[0.0, 0.2]]))
    # Half of the way to the word's norm, and a fifth of the 90 degrees to it.
    turned = 2.0 * 0.65 * torch.tensor([[np.sin(np.pi / 10), np.cos(np.pi / 10)]], dtype=torch.float32)
    torch.testing.assert_close(used(Use(50, norm_share=TEA.norm_share, turn_share=TEA.turn_share)), turned)
    assert norms({"clip_l": used(Use())}, lengths) == {"clip_l": 5.0, "in_means": 12.5}
    assert used_vectors({}, Use(), lengths, word) == norms({}, lengths) == {}


def test_a_companion_is_one_demand_and_its_side_another():
    hits = {"companion": True, "companions": True, "companion_colour": False, "companion_side": True, "place": True}
    assert demanded(hits) == {"companion_side": True, "place": True, "accompanied": False}
    assert demanded({**hits, "companion_colour": True})["accompanied"]
    assert demanded({"place": False}) == {"place": False}


def test_room_left_is_measured_between_the_description_and_the_class_word(tmp_path):
    table = table_2(dataclasses.replace(CUT, reporting=WHOLE.reporting, seeds=(1, 2)))
    results = Results(Store(tmp_path))
    texts = {"class_word": 0.9, "described": 0.7, "ti": 0.6, "dti": 0.8}
    for number, concept in enumerate(table.concepts):
        for row in (row for row in table.rows if row.settings.method in texts):
            for seed in table.seeds:
                for run in table.runs_of(row, concept, seed):
                    # Concepts differ, but not in what the method makes of their room.
                    text = texts[row.settings.method] - 0.01 * number
                    results.store.save_score(run.score_id, {"text": [text], "level": [0], "held": {}, "norm": {}})
    left = {label: room_left(table, table.row(label), results, table) for label in ("TI", "DTI", "described")}
    for label, share in (("TI", -0.5), ("DTI", 0.5), ("described", 0.0)):
        found = left[label]
        assert (found.mean, found.low, found.high) == pytest.approx((share, share, share))
    assert room_left(table, table.row("CrossInit"), results, table).count == 0


def test_a_judge_that_reads_badly_is_not_trusted(tmp_path):
    class Judge:
        """Reads every place as the left and never errs on a background."""

        trusted = frozenset({"place", "background", "shape"})

        def __init__(self, scenes):
            self.scenes = scenes

        def read(self, pictures):
            return [{**dict.fromkeys(VALUES, "?"), "place": "left", "background": self.scenes.pop(0)}]

    scenes = [prompt.scene.background for prompts in (_of_things(), _of_styles()) for prompt in prompts]
    trust = trusted(Judge(scenes), tmp_path / "calibration.json")
    assert trust.subjects == {"background"}
    measured = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert 0 < measured["subjects"]["place"] < 0.5
    assert measured["subjects"]["background"] == 1.0


def test_smoothness():
    angles = np.linspace(0, 1, 11)
    even = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    smooth = smoothness([even])
    # The points are float32: a chord of 0.1 is good to ten eps of its own.
    assert (smooth.largest_step, smooth.detour, smooth.ends) == pytest.approx((0.1, 1.0, 1.0), abs=1e-4)
    jump = np.concatenate([np.repeat(even[:1], 6, 0), np.repeat(even[-1:], 5, 0)])
    assert smoothness([jump]).largest_step == pytest.approx(1.0)


def test_the_archive_holds_what_the_tables_ask_for():
    """A change of Settings that renames runs would leave the stored results behind."""
    with zipfile.ZipFile(FILE) as archive:
        stored = {Path(name).stem for name in archive.namelist()}
    wanted = set(table_2(WHOLE).runs())
    assert len(wanted) > 100
    assert {name for run in wanted for name in (run.training_id, run.score_id) if run.settings.trains} <= stored
