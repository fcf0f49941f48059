from __future__ import annotations

import pytest

from dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES, beside_class_word, check_captions


@pytest.mark.parametrize(("templates", "count"), [(OBJECT_TEMPLATES, 27), (STYLE_TEMPLATES, 17)])
def test_templates_are_distinct_captions(templates: tuple[str, ...], count: int) -> None:
    assert len(set(templates)) == len(templates) == count
    check_captions(templates)


@pytest.mark.parametrize(("caption", "count"), [("a photo of a dog", 0), ("{} and {}", 2), ("a {name}", 0)])
def test_a_caption_needs_one_place_for_the_concept(caption: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"caption 2 has {count} of '\{{\}}'") as error:
        check_captions(["a photo of {}", caption])
    assert repr(caption) in str(error.value)


def test_no_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        check_captions([])


@pytest.mark.parametrize(
    ("caption", "word", "beside"),
    [
        ("a photo of a {}", "dog", "a photo of a {} dog"),
        ("a {}, in the rain", " stuffed  animal ", "a {} stuffed animal, in the rain"),
        ("a {} Dog in the rain", "dog", "a {} Dog in the rain"),
        ("a {} doghouse", "dog", "a {} dog doghouse"),
        ("a dog and a {}", "dog", "a dog and a {} dog"),
        ("a {} c++ (logo)", "c++", "a {} c++ (logo)"),
    ],
)
def test_the_class_word_stands_behind_the_concept_once(caption: str, word: str, beside: str) -> None:
    assert beside_class_word([caption, "{}"], word) == (beside, "{} " + " ".join(word.split()))
    check_captions(beside_class_word([caption], word))
