"""Prompts and captions stay within the world's words and never name what the subject looks like."""

from __future__ import annotations

import pytest
from paper_tables.captions import captions_with_surroundings, plain_captions
from paper_tables.prompts import COMPANY, SPECIFICATIONS, description, fill, prompts_for
from paper_tables.style_prompts import LOOK, style_description, style_prompts
from small_world.scenes import SIDES, hidden_on
from small_world.subjects import STYLES, SUBJECTS, scenes_of
from small_world.tokens import PIECES, known_words


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_prompts_ask_for_what_the_subject_is_not(subject):
    thing, vocabulary = subject.thing, set(known_words())
    own = {scene.background for scene in scenes_of(subject)}
    prompts = prompts_for(subject)
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 40 == sum(map(len, SPECIFICATIONS))
    for prompt in prompts:
        assert prompt.text.count("{}") == 1
        assert prompt.wanted
        assert not prompt.wanted.keys() & {"shape", "colour", "texture", "second", "marking", "extra"}
        assert prompt.wanted.get("background") not in own
        scene = prompt.scene
        hidden = {*hidden_on(scene.background)}
        assert not hidden & thing.shown
        if "companion" in prompt.wanted:
            assert prompt.wanted.keys() >= {*COMPANY, "companion_side"}
            assert scene.companion != thing.shape
            assert scene.companion_colour not in thing.shown | hidden
            assert scene.companion_side in SIDES[scene.place]
        assert scene.size != "large" or (scene.place, scene.companion) == ("center", "none")
        for word in (subject.word, description(thing)):
            assert set(fill(prompt.text, word).replace(",", " ").split()) <= vocabulary


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_style_prompts_ask_for_things_and_leave_the_look_to_the_style(style):
    vocabulary = set(known_words())
    prompts = style_prompts(style)
    assert {prompt.level for prompt in prompts} == {0, 1, 2}
    assert len({prompt.text for prompt in prompts}) == len(prompts) == 20
    for prompt in prompts:
        assert prompt.text.endswith("in the style of {}")
        assert prompt.scene.look == style.look
        assert "shape" in prompt.wanted and not prompt.wanted.keys() & set(LOOK)
        companion = prompt.scene.companion != "none"
        assert companion == ("companion_side" in prompt.wanted) == (prompt.wanted.keys() >= {"companion", "companions"})
        assert prompt.scene.thing.shape not in {scene.thing.shape for scene in scenes_of(style)}
        for word in (style.word, style_description(style)):
            assert set(prompt.text.replace("{}", word).replace(",", " ").split()) <= vocabulary


def test_descriptions_say_everything_once():
    said = {subject.name: description(subject.thing) for subject in SUBJECTS}
    assert said["candy_star"] == "pink star with blue stripes wearing a red hat"
    assert said["chess_flower"] == "purple and green checkered flower"


def test_articles():
    assert fill("a photo of a {}", "orange flower") == "a photo of an orange flower"
    assert fill("a photo of a small {}", "orange flower") == "a photo of a small orange flower"


def test_training_captions_are_in_the_worlds_language():
    vocabulary = set(known_words())
    for concept in (*SUBJECTS, *STYLES):
        for captions in (plain_captions(concept), captions_with_surroundings(concept)):
            assert len(captions) == 4
            for caption in (text for texts in captions for text in texts):
                assert caption.count("{}") == 1
                assert set(PIECES.findall(caption)) - {"{", "}"} <= vocabulary


def test_the_demo_generates_every_ninth_of_them():
    from benchmarks.demo import SMALL, SUBJECT

    subject = next(one for one in SUBJECTS if one.name == SUBJECT.name)
    assert SMALL.prompts == tuple(prompt.text for prompt in prompts_for(subject)[::9])
