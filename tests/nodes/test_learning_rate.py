"""What `learning_rate` of DTI Train means to each method."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("method", "recipe"),
    [("DTI", 0.04), ("Textual Inversion", 1.432), ("CrossInit", 1.432), ("projected AdamW", 1.432)],
)
def test_the_default_is_every_methods_recipe_and_other_values_scale_it(load_models, method, recipe):
    from dti_pack.nodes.run_plan import config_of

    inputs = {"initializer": "dog", "method": method, "templates": "object"}
    assert config_of({**inputs, "learning_rate": 0.04}).in_use()["learning_rate"] == recipe
    assert config_of({**inputs, "learning_rate": 0.01}).rate == pytest.approx(recipe / 4)


@pytest.mark.parametrize(("schedule", "shares"), [("constant", (1, 1)), ("linear", (1, 0.19)), ("cosine", (1, 0.122))])
def test_a_schedule_brings_it_down_to_a_tenth(load_models, schedule, shares):
    from dti_pack.nodes.run_plan import config_of

    inputs = {"initializer": "dog", "learning_rate": 0.04, "steps": 10, "schedule": schedule, "average": 3}
    options = config_of(inputs).options
    assert (options.rate_share(1, 10), options.rate_share(10, 10)) == pytest.approx(shares, abs=1e-3)
    assert options.average == 3
    with pytest.raises(ValueError, match="Textual Inversion has no use for average"):
        config_of({**inputs, "method": "Textual Inversion"})
