from __future__ import annotations

import pytest
from dti_pack.nodes.captions import captions_by_picture


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
