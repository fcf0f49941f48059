from __future__ import annotations

import pytest

from dti_core.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES, captions_by_picture, check_captions


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


def test_captions_by_picture() -> None:
    templates = ("a {}", "the {}")
    assert captions_by_picture([""], templates, 2) == (templates, templates)
    assert captions_by_picture(["my {}\n\n her {} "], templates, 2) == (("my {}", "her {}"),) * 2
    assert captions_by_picture(["my {}", "her {}"], templates, 2) == (("my {}",), ("her {}",))
    assert captions_by_picture(["my {}\nher {}", "", "the {}"], templates, 3) == (
        ("my {}", "her {}"),
        templates,
        ("the {}",),
    )
    assert captions_by_picture(["", " ", ""], templates, 2) == (templates, templates)
    with pytest.raises(ValueError, match="picture 2: caption 1 has 0"):
        captions_by_picture(["my {}", "her"], templates, 2)
    with pytest.raises(ValueError, match="got 2 captions for 3 pictures"):
        captions_by_picture(["my {}", "her {}"], templates, 3)
