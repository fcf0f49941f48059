"""The drawn world: images, captions, concepts, files, the judge's labels. No training and no host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.small_world import checkpoint, scenes, words
from benchmarks.small_world.dataset import scene_at
from benchmarks.small_world.drawing import draw
from benchmarks.small_world.files import write_whole
from benchmarks.small_world.grammar import describe
from benchmarks.small_world.judge import VALUES, Judge, Network, truth
from benchmarks.small_world.scenes import Look, Scene, Thing
from benchmarks.small_world.shapes import SHAPES
from benchmarks.small_world.subjects import PICTURES, STYLES, SUBJECTS, pictures_of, scenes_of
from benchmarks.small_world.tokens import PIECES, known_words
from tests.rounding import EPS32

SIDE_WORDS = {"left": "its left", "right": "its right", "above": "above it", "below": "below it"}
LOOK_WORDS = {"medium": words.MEDIUM_WORDS, "tint": words.TINT_WORDS}


def test_a_scene_is_always_the_same_picture() -> None:
    scene = scene_at(7)
    assert scene == scene_at(7)
    np.testing.assert_array_equal(draw(scene), draw(scene))
    assert draw(scene).shape == (scenes.SIZE, scenes.SIZE, 3)
    assert (draw(scene) != draw(scene_at(8))).any()


def test_everything_in_the_lists_can_be_drawn_and_shows() -> None:
    thing = Thing("circle", "red", "striped", "blue", "hat", "green")
    base = draw(Scene(thing))
    others = [Scene(Thing(shape, "red", "striped", "blue", "hat", "green")) for shape in SHAPES if shape != "circle"]
    others += [Scene(Thing("circle", "red", t, "blue", "hat", "green")) for t in scenes.TEXTURES if t != "striped"]
    others += [Scene(Thing("circle", "red", "striped", "blue", m, "green")) for m in scenes.MARKINGS if m != "hat"]
    others += [Scene(thing, background=name) for name in (*scenes.NAMES, *scenes.VIEWS) if name != "white"]
    others += [Scene(thing, companion=name) for name in scenes.COMPANIONS]
    others += [Scene(thing, companion="star", companion_side="left"), Scene(thing, companion="star", twice=True)]
    others += [Scene(thing, place=place) for place in scenes.PLACES[1:]]
    others += [Scene(thing, look=Look(medium=name)) for name in scenes.MEDIA[1:]]
    others += [Scene(thing, look=Look(tint=name)) for name in scenes.TINTS[1:]]
    for scene in others:
        changed = np.abs(draw(scene).astype(int) - base).max(axis=2) > 40
        assert changed.mean() > 0.004, scene


@pytest.mark.parametrize("wrong", [Scene(Thing("blob", "red")), Scene(Thing("star", "red"), background="moonbase")])
def test_an_unknown_name_is_refused_with_the_known_ones(wrong: Scene) -> None:
    with pytest.raises(ValueError, match="known: "):
        draw(wrong)


def _says(text: str, choices: tuple[str, ...]) -> bool:
    return any(f" {choice} " in f" {text.replace(',', ' ')} " for choice in choices)


def test_captions_name_what_is_drawn() -> None:
    rng = np.random.default_rng(1)
    seen: set[str] = set()
    for index in range(1500):
        scene = scene_at(index)
        caption = describe(scene, rng)
        text, thing = caption.text, scene.thing
        seen |= caption.named
        if "shape" in caption.named:
            assert _says(text, words.NOUNS[thing.shape]), text
        for kind, colour in (("colour", thing.colour), ("second", thing.second), ("extra", thing.extra)):
            if kind in caption.named:
                assert _says(text, words.COLOUR_WORDS[colour]), text
        if "companion" in caption.named:
            assert _says(text, words.NOUNS[scene.companion]), text
        if "companion_side" in caption.named:
            assert f" {SIDE_WORDS[scene.companion_side]}" in text, text
        if "place" in caption.named:
            assert _says(text, words.PLACE_WORDS[scene.place]), text
        if "background" in caption.named:
            plain = scene.background in scenes.COLOURS
            said = words.COLOUR_WORDS[scene.background] if plain else words.ON_VIEW[scene.background]
            assert _says(text, said), text
        for kind, table in LOOK_WORDS.items():
            if kind in caption.named:
                assert _says(text, table[getattr(scene.look, kind)]), text
    expected = {"shape", "colour", "second", "texture", "marking", "extra", "size", "place", "companion"}
    assert seen >= expected | {"companion_colour", "companion_side", "background", "medium", "tint", "framed"}


def test_company_stands_where_there_is_room() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        scene = scenes.random_scene(rng)
        assert scene.companion_side in scenes.SIDES[scene.place]
        assert scene.place == "center" or scene.size != "large"
        assert scene.companion == "none" or scene.size != "large"
        hidden = set(scenes.hidden_on(scene.background))
        assert not hidden & {*scene.thing.shown, scene.companion_colour}


def test_captions_use_known_words_and_some_are_empty() -> None:
    rng, known = np.random.default_rng(2), set(known_words())
    texts = [describe(scene_at(index), rng).text for index in range(1500)]
    assert {piece for text in texts for piece in PIECES.findall(text)} <= known
    # A tenth is left empty: of 1500 drawn, 0.1 with an error of 0.008.
    assert 0.07 < np.mean([not text for text in texts]) < 0.13
    assert len(known) > 120
    again = np.random.default_rng(2)
    assert texts[:50] == [describe(scene_at(index), again).text for index in range(50)]


def test_concepts_are_many_different_and_split() -> None:
    assert len(SUBJECTS) >= 14 and len(STYLES) >= 3
    assert len({subject.thing for subject in SUBJECTS}) == len(SUBJECTS)
    assert sum(subject.chooses for subject in SUBJECTS) == len(SUBJECTS) // 2
    for subject in SUBJECTS:
        assert subject.word in words.NOUNS[subject.thing.shape]
        assert subject.thing.texture != "plain"
        backgrounds = {scene.background for scene in scenes_of(subject)}
        assert len(backgrounds) == PICTURES
        assert not subject.thing.shown & {colour for name in backgrounds for colour in scenes.hidden_on(name)}
    for concept in (*SUBJECTS, *STYLES):
        assert pictures_of(concept).shape == (PICTURES, scenes.SIZE, scenes.SIZE, 3)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def half(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, half)
    assert list(tmp_path.iterdir()) == []
    write_whole(target, lambda path: path.write_bytes(b"old") and None)
    with pytest.raises(OSError, match="disk full"):
        write_whole(target, half)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_compact_file_that_is_missing_cut_or_another_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small_world.safetensors"
    with pytest.raises(ValueError, match="is not there"):
        checkpoint.read_compact(path)
    save_file({"used.l": torch.zeros(1000)}, path)
    with pytest.raises(ValueError, match="not a compact small world"):
        checkpoint.read_compact(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        checkpoint.read_compact(path)


def test_the_judge_is_asked_only_for_what_a_picture_shows() -> None:
    plain = truth(Scene(Thing("star", "red")))
    assert not {"second", "extra", "companion_colour"} & plain.keys()
    gray = truth(Scene(Thing("star", "red", "striped", "blue"), look=Look(tint="gray")))
    assert not {"colour", "second", "background"} & gray.keys()
    for index in range(300):
        assert all(value in VALUES[name] for name, value in truth(scene_at(index)).items())


def test_an_attribute_the_judge_cannot_tell_does_not_judge() -> None:
    torch.manual_seed(0)
    judge = Judge(Network(), {"shape": 0.99, "size": 0.9})
    pictures = pictures_of(SUBJECTS[0])
    assert judge.trusted == {"shape"}
    assert set(judge.holds(pictures, {"shape": "star", "size": "large"})) <= {0.0, 1.0}
    with pytest.raises(ValueError, match="none of"):
        judge.holds(pictures, {"size": "large"})
    np.testing.assert_allclose(np.linalg.norm(judge.embed(pictures), axis=1), 1, atol=16 * EPS32)
