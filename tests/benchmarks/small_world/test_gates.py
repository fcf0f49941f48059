"""The demands on the small world's model: what they ask in prompts, read from images, and compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.small_world import gates, words
from benchmarks.small_world.gates import CLASS_WORD, GATES, drawings, plain_scenes, prompts, read
from benchmarks.small_world.grammar import EVERYTHING, describe
from benchmarks.small_world.judge import VALUES, Judge, Network, truth
from benchmarks.small_world.scenes import Look, Scene

SCENES = plain_scenes(60)


class Oracle(Judge):
    """Sees what scenes show, in the order in which they come."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        super().__init__(Network(), {})
        self.seen = [{name: VALUES[name][0] for name in VALUES} | truth(scene) for scene in scenes]

    def read(self, pictures: np.ndarray) -> list[dict[str, str]]:
        return self.seen


def test_scenes_are_plain_and_in_no_training() -> None:
    from benchmarks.small_world.dataset import HELD_OUT_SEED, SEED

    assert gates.SEED not in (SEED, HELD_OUT_SEED)
    assert all(scene.look == Look() for scene in SCENES)


def test_descriptions_name_everything_and_class_words_nothing_of_the_thing() -> None:
    rng = np.random.default_rng(0)
    for scene in SCENES:
        shown = set(truth(scene)) - {"companions", "medium", "tint", "framed"}
        shown -= {"texture"} if scene.thing.texture == "plain" else set()
        shown -= {"marking"} if scene.thing.marking == "none" else set()
        shown -= {"companion"} if scene.companion == "none" else set()
        assert describe(scene, rng, EVERYTHING).named == shown
        assert not describe(scene, rng, CLASS_WORD).named & {"colour", "second", "texture", "marking", "extra"}
        assert describe(scene, rng, CLASS_WORD).named >= {"shape", "size", "place", "background"}
    assert all(prompts(SCENES, EVERYTHING)) and all(prompts(SCENES, CLASS_WORD))
    hats = {phrase.split()[-1] for phrase in words.MARKS["hat"]}
    assert not any(hats & set(text.split()) for text in prompts(SCENES, CLASS_WORD))


def test_what_is_seen_is_held_against_what_the_scene_has() -> None:
    perfect = read(Oracle(SCENES), drawings(SCENES), SCENES)
    assert all(perfect[name] == 1 for name in GATES if name != "likeness")

    blind = Oracle(SCENES)
    accompanied = [number for number, scene in enumerate(SCENES) if scene.companion != "none"]
    for number in accompanied[::2]:
        blind.seen[number] |= {"companions": "2"}
    found = read(blind, drawings(SCENES), SCENES)
    assert found["companion"] == 1  # there, but twice
    assert found["accompanied"] == pytest.approx(1 - len(accompanied[::2]) / len(accompanied))


def test_a_gate_holds_from_its_value_on_and_class_words_have_their_own() -> None:
    good = dict.fromkeys(GATES, 1.0) | {"likeness": 1.0}
    assert all(gate.open for gate in gates.gates(dict(GATES), dict(GATES), good))
    described, named = dict(GATES) | {"second": 0.84}, dict(GATES) | {"place": 0.92, "second": 0.0}
    missed = [(gate.prompts, gate.name) for gate in gates.gates(described, named, good) if not gate.open]
    assert missed == [("description", "second"), ("class word", "place")]
