from __future__ import annotations

import pytest


def test_one_value_is_meant(comfy_modules):
    from dti_pack.nodes.single_values import single_values

    model = object()
    assert single_values("DTI Train", {"model": [model], "steps": [4, 4], "name": ["a"]}) == {
        "model": model,
        "steps": 4,
        "name": "a",
    }
    with pytest.raises(ValueError, match="DTI Train got a list of 2 for name"):
        single_values("DTI Train", {"name": ["a", "b"]})
    with pytest.raises(ValueError, match="list of 2 for model"):
        single_values("DTI Train", {"model": [object(), object()]})
    with pytest.raises(ValueError, match="empty list for clip"):
        single_values("DTI Train", {"clip": []})
