"""What `learning_rate` of DTI Train means to each method."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("method", "recipe"),
    [("DTI", 0.04), ("Textual Inversion", 1.432), ("CrossInit", 1.432), ("projected AdamW", 1.432)],
)
def test_the_default_is_every_methods_recipe_and_other_values_scale_it(load_models, method, recipe):
    from dti_pack.nodes.train_run import config_of

    inputs = {"initializer": "dog", "method": method, "templates": "object"}
    assert config_of({**inputs, "learning_rate": 0.04}).in_use()["learning_rate"] == recipe
    assert config_of({**inputs, "learning_rate": 0.01}).rate == pytest.approx(recipe / 4)
