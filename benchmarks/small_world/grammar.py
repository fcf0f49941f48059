"""Captions: what is in a scene, in words; a caption names some attributes and is silent about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import words
from .scenes import COLOURS, Scene

EMPTY_SHARE = 0.1
# How often an attribute is named. Departures from the usual are nearly always named, so that what a prompt
# does not ask for stays rare in what is learned.
_NAMED = {
    "shape": 0.97, "colour": 0.97, "texture": 0.98, "marking": 0.97, "size": 0.9, "medium": 0.3, "place": 0.94,
    "center": 0.35, "companion": 0.97, "companion_colour": 0.95, "side": 0.9, "background": 0.94, "look": 0.96,
}  # fmt: skip
# One caption in five says little about the object itself, as in "a photo of a star on the beach".
TERSE_SHARE = 0.2
_TERSE = 0.2


@dataclass(frozen=True)
class Caption:
    """The words, and which attributes of the scene they name."""

    text: str
    named: frozenset[str]


def _article(phrase: str, rng: np.random.Generator) -> str:
    word = str(rng.choice(words.ARTICLES))
    return f"{'an' if word == 'a' and phrase[0] in 'aeio' else word} {phrase}"


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _colour(name: str, rng: np.random.Generator) -> str:
    return _one(words.COLOUR_WORDS[name], rng)


def _thing(scene: Scene, rng: np.random.Generator, named: set[str]) -> str:
    """The noun phrase of the main object, with its own colours, texture, size and marking."""
    thing = scene.thing
    share = _TERSE if rng.random() < TERSE_SHARE else 1.0
    noun = "thing" if rng.random() > _NAMED["shape"] else _one(words.NOUNS[thing.shape], rng)
    if noun != "thing":
        named.add("shape")
    textured = thing.texture != "plain" and rng.random() < share * _NAMED["texture"]
    if textured:
        named.add("texture")
    texture = thing.texture if textured else "plain"
    if rng.random() < share * _NAMED["colour"]:
        named.add("colour")
        pattern = _one(words.TEXTURED[texture], rng)
    else:
        pattern = _one(words.UNCOLOURED[texture], rng)
    if "{d}" in pattern:
        named.add("second")
    # Filled in one go: a colour word may not be searched for letters in braces.
    phrase = pattern.format(c=_colour(thing.colour, rng), d=_colour(thing.second, rng), n=noun)
    if rng.random() < share * _NAMED["medium" if scene.size == "medium" else "size"]:
        named.add("size")
        phrase = f"{_one(words.SIZE_WORDS[scene.size], rng)} {phrase}"
    elif rng.random() < 0.12:
        phrase = f"{_one(words.MANNERS, rng)} {phrase}"
    if thing.marking != "none" and rng.random() < share * _NAMED["marking"]:
        mark = _one(words.MARKS[thing.marking], rng)
        named |= {"marking", "extra"} if "{e}" in mark else {"marking"}
        mark = mark.format(e=_colour(thing.extra, rng))
        joint = " and " if " with " in phrase and mark.startswith("with ") else " "
        phrase += joint + (mark[5:] if joint == " and " else mark)
    return _article(phrase, rng)


def _around(scene: Scene, rng: np.random.Generator, named: set[str]) -> list[str]:
    """Place, company and background, in the order of speech."""
    out = []
    if rng.random() < _NAMED["center" if scene.place == "center" else "place"]:
        named.add("place")
        out.append(_one(words.PLACE_WORDS[scene.place], rng))
    if scene.companion != "none" and rng.random() < _NAMED["companion"]:
        noun = _one(words.NOUNS[scene.companion], rng)
        named.add("companion")
        if rng.random() < _NAMED["companion_colour"]:
            named.add("companion_colour")
            noun = f"{_colour(scene.companion_colour, rng)} {noun}"
        company = words.BESIDE
        if rng.random() < _NAMED["side"]:
            named.add("companion_side")
            company = words.COMPANY[scene.companion_side]
        article = "an" if noun[0] in "aeio" else "a"
        out.append(_one(company, rng).format(x=f"{article} {noun}"))
    if rng.random() < _NAMED["background"]:
        named.add("background")
        if scene.background in COLOURS:
            out.append(_one(words.ON_COLOUR, rng).format(b=_colour(scene.background, rng)))
        else:
            out.append(_one(words.ON_VIEW[scene.background], rng))
    return out


def _look(scene: Scene, rng: np.random.Generator, named: set[str]) -> tuple[str, list[str]]:
    """What kind of image it is ("a neon photo of"), and what is said of its style at the end."""
    before: list[str] = []
    after: list[str] = []
    look = scene.look
    kinds = (
        ("medium", words.MEDIUM_WORDS.get(look.medium)),
        ("tint", words.TINT_WORDS.get(look.tint)),
    )
    for kind, choices in kinds:
        if choices is None or rng.random() > _NAMED["look"]:
            continue
        named.add(kind)
        word = _one(choices, rng)
        if rng.random() < 0.5:
            before.append(word)
        else:
            after.append(_one((f"in {word} style", f"in the style of {word}", f"{word} style"), rng))
    if look.framed and rng.random() < _NAMED["look"]:
        named.add("framed")
        after.append(_one(words.FRAME_WORDS, rng))
    medium = " ".join([*before, _one(words.PICTURES, rng)])
    if not before and rng.random() < 0.3:
        return "", after
    lead = _one(words.LEADS, rng).format(m=medium)
    return (lead.replace("a ", "an ", 1) if lead.startswith("a ") and medium[0] in "aeio" else lead), after


def describe(scene: Scene, rng: np.random.Generator) -> Caption:
    """A caption of the scene; one in ten is empty, for classifier-free guidance."""
    if rng.random() < EMPTY_SHARE:
        return Caption("", frozenset())
    named: set[str] = set()
    lead, style = _look(scene, rng, named)
    phrase = " ".join(filter(None, [lead, _thing(scene, rng, named)]))
    around = _around(scene, rng, named)
    if len(around) == 3 and rng.random() < 0.3:
        around = around[:1] + around[:0:-1]
    joint = ", " if rng.random() < 0.3 else " "
    text = joint.join([phrase, *around])
    if style:
        text = ", ".join([text, *style]) if rng.random() < 0.8 else " ".join([text, *style])
    return Caption(text, frozenset(named))
