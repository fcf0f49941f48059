"""What captions say of a scene, as the text encoders are taught it."""

from __future__ import annotations

import numpy as np

from benchmarks.small_world.dataset import scene_at
from benchmarks.small_world.grammar import Caption, describe
from benchmarks.small_world.judge import VALUES
from benchmarks.small_world.scenes import Scene, Thing
from benchmarks.small_world.train_text import SAID, said


def test_what_a_caption_does_not_name_is_silence() -> None:
    scene = Scene(Thing("star", "red", "striped", "blue"), background="beach")
    told = said(scene, Caption("a red star", frozenset({"shape", "colour"})))
    assert VALUES["shape"][told["shape"]] == "star"
    assert VALUES["colour"][told["colour"]] == "red"
    assert {name for name in SAID if told[name] == len(VALUES[name])} == {*SAID} - {"shape", "colour"}


def test_every_caption_of_the_grammar_has_labels() -> None:
    rng = np.random.default_rng(1)
    for index in range(300):
        scene = scene_at(index)
        caption = describe(scene, rng)
        told = said(scene, caption)
        assert caption.named <= {*SAID} == told.keys()
        assert all(0 <= told[name] <= len(VALUES[name]) for name in SAID)
