"""What Score Embeddings says: text, files, header, pictures; and what it objects to, without a model."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
import torch
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.scoring.choice import Scores, choose_within_interval
from dti_pack.dti_core.scoring.table import ScoreTable
from dti_pack.dti_core.training.image_marks import image_notes, trained_on
from dti_pack.nodes.scoring.contact_sheet import CHOSEN, draw_sheet
from dti_pack.nodes.scoring.labels import short_labels
from dti_pack.nodes.scoring.references import ceiling_notes, near_notes, subject_alone, trained_notes
from dti_pack.nodes.scoring.report import Circumstances, header_notes, report_text, table_csv, table_json

SETTINGS = {"steps": 25, "image_scorer": "Dinov2Model, 1024 wide", "text_scorer": "CLIP, 1280 wide"}
HOW = Circumstances("dog", ("a {}", "a red {}"), (0, 1, 2), "the rule", SETTINGS)


def table(with_text: bool = True, ceiling: float = 0.9) -> ScoreTable:
    """The class word at .3 and .25, `good` .3 above it in image and `bad` .1, both a little below it in text."""
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 3))

    def scores(image: float, text: float) -> Scores:
        return Scores(image + noise, text + noise if with_text else None)

    found = (scores(0.6, 0.24), scores(0.4, 0.2))
    return ScoreTable(("good", "bad"), found, scores(0.3, 0.25), ceiling, choose_within_interval(found))


def test_the_report_has_each_difference_its_way_to_the_ceiling_and_what_was_chosen():
    said = report_text(table(), HOW, ["a note"])
    good, *_ = [line for line in said.splitlines() if line.startswith("good")]
    # Pair by pair the noise of prompts cancels out, so that the difference is exact.
    assert "+0.300 " in good and "50 % of the way" in good and "<- chosen" in good
    assert "2 embeddings, 6 images of each (2 prompts, 3 seeds)" in said
    assert "Chosen: good, by the rule: the rule." in said
    assert said.endswith("a note")
    assert "your images, to each other  0.900" in said


def test_an_axis_that_nothing_scores_is_named_and_without_a_ceiling_there_is_no_way():
    said = report_text(table(with_text=False, ceiling=math.nan), HOW, [])
    assert "text: not scored" in said
    assert "of the way" not in said and "nan" not in said


def test_files_hold_the_same_numbers():
    rows = list(csv.DictReader(io.StringIO(table_csv(table(), HOW))))
    assert [row["embedding"] for row in rows] == ["dog", "good", "bad"]
    assert [row["chosen"] for row in rows] == ["0", "1", "0"]
    assert float(rows[1]["image_more"]) == pytest.approx(0.3) and float(rows[1]["image_way"]) == pytest.approx(
        0.5, abs=0.01
    )
    content = json.loads(table_json(table(ceiling=math.nan), HOW, ["a note"]))
    assert content["ceiling"] is None and content["notes"] == ["a note"]
    assert np.mean(content["embeddings"][0]["image"]) == pytest.approx(float(rows[1]["image"]), rel=1e-5)
    empty = list(csv.DictReader(io.StringIO(table_csv(table(with_text=False), HOW))))
    assert empty[1]["text"] == "" and empty[1]["image"]


def test_the_header_is_text_that_an_embedding_takes():
    notes = header_notes(table(), HOW)
    ConceptEmbedding("good", {"clip_l": torch.ones(1, 4)}, notes)
    assert notes["dti.score.image"].startswith("0.6") and notes["dti.score.image_scorer"] == "Dinov2Model, 1024 wide"
    assert "dti.score.text" not in header_notes(table(with_text=False), HOW)


def test_steps_of_one_run_are_called_by_their_number():
    names = ["my_dog-step100", "my_dog-step200_2", "my_dog", "other"]
    assert short_labels(names) == ["step100", "step200_2", "result", "other"]
    assert short_labels(["a-step1", "b-step1"]) == ["a-step1", "b-step1"]


def test_an_image_is_known_again_from_the_header_however_it_was_loaded():
    generator = torch.Generator().manual_seed(0)
    first, second, third = (torch.rand((16, 12, 3), generator=generator) for _ in range(3))
    header = image_notes([first, second, third], held_out=[3])
    saved = (first * 255).round() / 255
    assert len(trained_on(header)) == 2
    (said,) = trained_notes([saved, third], trained_on(header))
    assert said.startswith("Images 1 are among")
    assert trained_notes([third], trained_on(header)) == trained_notes([saved], trained_on({"dti.images": "?"})) == []


def test_next_to_the_same_is_said_by_number():
    generator = torch.Generator().manual_seed(0)
    trained = torch.randn((3, 64), generator=generator)
    own = torch.stack([torch.randn(64, generator=generator), trained[2] + 0.05])
    (said,) = near_notes(own, trained)
    assert said.startswith("Image 2 is next to the same as training image 3")


def test_images_that_tell_nothing_are_said():
    assert "With one image" in ceiling_notes(1, math.nan, 0.3)[0]
    assert "tell little" in ceiling_notes(2, 0.3, 0.3)[0]
    assert ceiling_notes(2, 0.6, 0.3) == ceiling_notes(1, 0.6, 0.3) == []


def test_outside_its_mask_an_image_is_black():
    picture, mask = torch.ones(16, 16, 3), torch.zeros(16, 16)
    mask[4:8] = 1
    (alone,) = subject_alone([picture], [mask])
    assert float(alone.sum()) == 4 * 16 * 3 and float(alone[4:8].min()) == 1
    with pytest.raises(ValueError, match="2 masks for 1 images"):
        subject_alone([picture], [mask, mask])


def test_the_sheet_shows_prompts_from_all_over_and_marks_what_was_chosen():
    prompts = [f"prompt {n} of a {{}}" for n in range(24)]
    # In a colour that no letter has.
    columns = [[torch.tensor([n / 24, 0, n / 24]).expand(32, 32, 3) for n in range(24)] for _ in range(3)]
    sheet = (draw_sheet(columns, ["word", "a", "b"], prompts, chosen=2) * 255).round()
    reds = sheet[..., 0][(sheet[..., 1] == 0) & (sheet[..., 0] == sheet[..., 2])]
    shown = set(reds.unique().tolist())
    assert shown >= {float(round(n / 24 * 255)) for n in range(0, 24, 2)}
    assert not shown & {float(round(n / 24 * 255)) for n in range(1, 24, 2)}
    marked = (sheet == torch.tensor([int(CHOSEN[i : i + 2], 16) for i in (1, 3, 5)])).all(dim=-1)
    assert marked.any() and int(marked.nonzero()[:, 1].min()) > sheet.shape[1] // 2


@pytest.mark.parametrize("with_text", [True, False])
def test_the_front_is_drawn_with_one_axis_too(with_text):
    from dti_pack.nodes.scoring.front import draw_front

    front = draw_front(table(with_text), "dog")
    assert front.shape == (768, 1024, 3) and 0.01 < float((front < 0.9).any(-1).float().mean()) < 0.5
