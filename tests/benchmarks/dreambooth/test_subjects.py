"""DreamBooth's folders, their class words and masks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.dreambooth.subjects import CLASSES, check_pictures, find_subjects
from tests.benchmarks.dreambooth.tiny_judges import noise, write_subjects


def test_the_authors_have_30_subjects():
    names = [name for names in CLASSES.values() for name in names]
    assert len(set(names)) == len(names) == 30


def test_words_come_from_the_authors_and_then_from_the_folder(tmp_path):
    """In DreamBooth's repository the subjects lie in `dataset`, with a file of words and prompts."""
    write_subjects(tmp_path / "dataset")
    (tmp_path / "dataset" / "my_cup").mkdir()
    noise(5).save(tmp_path / "dataset" / "my_cup" / "1.jpg")
    (tmp_path / "dataset" / "prompts_and_classes.txt").write_text(
        "Classes\n\nsubject_name,class\nberry_bowl,plate\nmy_cup,tea cup\n\nprompt_list = [\n'{0}, {1}'.format(a, b)\n"
    )
    assert [(s.name, s.word, len(s.pictures)) for s in find_subjects(tmp_path)] == [
        ("berry_bowl", "bowl", 2),
        ("dog", "dog", 2),
        ("my_cup", "tea cup", 1),
    ]
    assert [s.name for s in find_subjects(tmp_path, ["dog"])] == ["dog"]


def test_what_is_missing_is_said(tmp_path):
    write_subjects(tmp_path)
    with pytest.raises(ValueError, match="no folder for cat; it has berry_bowl, dog"):
        find_subjects(tmp_path, ["cat"])
    (tmp_path / "my_cup").mkdir()
    with pytest.raises(ValueError, match=r"no class word is known for my_cup. Add a line 'name,word'"):
        find_subjects(tmp_path)
    (tmp_path / "vase").mkdir()
    with pytest.raises(ValueError, match="has no images"):
        find_subjects(tmp_path, ["vase"])
    (tmp_path / "my cup").mkdir()
    (tmp_path / "prompts_and_classes.txt").write_text("my cup,cup\n")
    with pytest.raises(ValueError, match="the name 'my cup' cannot be used"):
        find_subjects(tmp_path, ["my cup"])


def test_masks_blacken_the_background(tmp_path):
    write_subjects(tmp_path)
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[10:30, 20:40] = 255
    (tmp_path / "masks" / "dog").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks" / "dog" / "00.png")
    with pytest.raises(ValueError, match=r"masks are missing: .*01\.png"):
        find_subjects(tmp_path, ["dog"], tmp_path / "masks")
    Image.fromarray(mask[:32]).save(tmp_path / "masks" / "dog" / "01.png")
    with pytest.raises(ValueError, match=r"\(64, 32\), and its image is \(64, 64\)"):
        check_pictures(find_subjects(tmp_path, ["dog"], tmp_path / "masks"))
    Image.fromarray(mask).save(tmp_path / "masks" / "dog" / "01.png")
    (dog,) = find_subjects(tmp_path, ["dog"], tmp_path / "masks")
    whole, masked = (np.asarray(images[0]) for images in (dog.references(), dog.masked_references()))
    assert (masked[mask == 255] == whole[mask == 255]).all() and not masked[mask == 0].any()
    assert (whole == np.asarray(noise(0))).all()
