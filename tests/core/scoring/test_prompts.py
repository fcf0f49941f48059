"""The authors' sets, and a few of them from all over."""

from __future__ import annotations

from dti_core.scoring.prompts import PRESETS, spread_prompts


def test_each_prompt_of_each_set_has_one_place_for_the_subject():
    assert {name: len(set(prompts)) for name, prompts in PRESETS.items()} == {
        "object": 41,
        "living thing": 41,
        "style": 40,
    }
    assert all(prompt.count("{}") == 1 for prompts in PRESETS.values() for prompt in prompts)


def test_a_few_come_from_all_over():
    numbers = [str(n) for n in range(41)]
    assert spread_prompts(numbers, 4) == ("0", "10", "20", "30")
    assert spread_prompts(numbers, 0) == spread_prompts(numbers, 50) == tuple(numbers)
