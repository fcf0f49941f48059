from __future__ import annotations

import pytest
from dti_pack.nodes.captions import captions_by_picture, prompts_objection, prompts_of


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
    with pytest.raises(ValueError, match="image 2: caption 1 has 0"):
        captions_by_picture(["my {}", "her"], templates, 2)
    with pytest.raises(ValueError, match="got 2 captions for 3 images"):
        captions_by_picture(["my {}", "her {}"], templates, 3)


@pytest.mark.parametrize(
    ("typed", "prompts"),
    [("", ("one {}",)), (" a {} \n\n the {} at night", ("a {}", "the {} at night"))],
)
def test_prompts_are_lines(typed: str, prompts: tuple[str, ...]) -> None:
    assert prompts_of(typed, ("one {}", "two {}")) == prompts


@pytest.mark.parametrize(("typed", "message"), [("a dog", "preview_prompts: caption 1 has 0"), ("{}\n" * 9, "9 lines")])
def test_bad_prompts_are_refused_before_a_run(typed: str, message: str) -> None:
    assert message in prompts_objection(typed)
    assert prompts_objection("a {}") is None and prompts_objection(None) is None
