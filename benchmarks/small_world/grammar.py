"""Captions: what is in a scene, in words; a caption names some attributes and is silent about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import words
from .scenes import COLOURS, Scene


@dataclass(frozen=True)
class Habits:
    """How often an attribute is named: what there is of the object itself, what surrounds it, and its look.

    empty: share of captions that say nothing, for classifier-free guidance. terse: share of captions that say little
    about the object itself, as in "a photo of a star on the beach"; `terse_share` of the usual.
    """

    shape: float = 0.97
    colour: float = 0.97
    texture: float = 0.98
    marking: float = 0.97
    size: float = 0.9
    medium_size: float = 0.3
    place: float = 0.94
    center: float = 0.35
    companion: float = 0.97
    companion_colour: float = 0.95
    side: float = 0.9
    background: float = 0.94
    look: float = 0.96
    empty: float = 0.1
    terse: float = 0.2
    terse_share: float = 0.2


# Departures from the usual are nearly always named: what a prompt does not ask for stays rare in what is learned.
USUAL = Habits()
EVERYTHING = Habits(*[1.0] * 13, empty=0.0, terse=0.0)


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


def _thing(scene: Scene, rng: np.random.Generator, named: set[str], habits: Habits) -> str:
    """The noun phrase of the main object, with its own colours, texture, size and marking."""
    thing = scene.thing
    share = habits.terse_share if rng.random() < habits.terse else 1.0
    noun = "thing" if rng.random() > habits.shape else _one(words.NOUNS[thing.shape], rng)
    if noun != "thing":
        named.add("shape")
    textured = thing.texture != "plain" and rng.random() < share * habits.texture
    if textured:
        named.add("texture")
    texture = thing.texture if textured or thing.texture == "plain" else "unsaid"
    if rng.random() < share * habits.colour:
        named.add("colour")
        pattern = _one(words.TEXTURED[texture], rng)
    else:
        pattern = _one(words.UNCOLOURED[texture], rng)
    if "{d}" in pattern:
        named.add("second")
    # Filled in one go: a colour word may not be searched for letters in braces.
    phrase = pattern.format(c=_colour(thing.colour, rng), d=_colour(thing.second, rng), n=noun)
    if rng.random() < share * (habits.medium_size if scene.size == "medium" else habits.size):
        named.add("size")
        phrase = f"{_one(words.SIZE_WORDS[scene.size], rng)} {phrase}"
    elif rng.random() < 0.12:
        phrase = f"{_one(words.MANNERS, rng)} {phrase}"
    if thing.marking != "none" and rng.random() < share * habits.marking:
        mark = _one(words.MARKS[thing.marking], rng)
        named |= {"marking", "extra"} if "{e}" in mark else {"marking"}
        mark = mark.format(e=_colour(thing.extra, rng))
        joint = " and " if " with " in phrase and mark.startswith("with ") else " "
        phrase += joint + (mark[5:] if joint == " and " else mark)
    return _article(phrase, rng)


def _around(scene: Scene, rng: np.random.Generator, named: set[str], habits: Habits) -> list[str]:
    """Place, company and background, in the order of speech."""
    out = []
    if rng.random() < (habits.center if scene.place == "center" else habits.place):
        named.add("place")
        out.append(_one(words.PLACE_WORDS[scene.place], rng))
    if scene.companion != "none" and rng.random() < habits.companion:
        noun = _one(words.NOUNS[scene.companion], rng)
        named.add("companion")
        if rng.random() < habits.companion_colour:
            named.add("companion_colour")
            noun = f"{_colour(scene.companion_colour, rng)} {noun}"
        company = words.BESIDE
        if rng.random() < habits.side:
            named.add("companion_side")
            company = words.COMPANY[scene.companion_side]
        article = "an" if noun[0] in "aeio" else "a"
        out.append(_one(company, rng).format(x=f"{article} {noun}"))
    if rng.random() < habits.background:
        named.add("background")
        if scene.background in COLOURS:
            out.append(_one(words.ON_COLOUR, rng).format(b=_colour(scene.background, rng)))
        else:
            out.append(_one(words.ON_VIEW[scene.background], rng))
    return out


def _look(scene: Scene, rng: np.random.Generator, named: set[str], habits: Habits) -> tuple[str, list[str]]:
    """What kind of image it is ("a neon photo of"), and what is said of its style at the end."""
    before: list[str] = []
    after: list[str] = []
    look = scene.look
    kinds = (
        ("medium", words.MEDIUM_WORDS.get(look.medium)),
        ("tint", words.TINT_WORDS.get(look.tint)),
    )
    for kind, choices in kinds:
        if choices is None or rng.random() > habits.look:
            continue
        named.add(kind)
        word = _one(choices, rng)
        if rng.random() < 0.5:
            before.append(word)
        else:
            after.append(_one((f"in {word} style", f"in the style of {word}", f"{word} style"), rng))
    if look.framed and rng.random() < habits.look:
        named.add("framed")
        after.append(_one(words.FRAME_WORDS, rng))
    medium = " ".join([*before, _one(words.PICTURES, rng)])
    if not before and rng.random() < 0.3:
        return "", after
    lead = _one(words.LEADS, rng).format(m=medium)
    return (lead.replace("a ", "an ", 1) if lead.startswith("a ") and medium[0] in "aeio" else lead), after


def describe(scene: Scene, rng: np.random.Generator, habits: Habits = USUAL) -> Caption:
    """A caption of the scene."""
    if rng.random() < habits.empty:
        return Caption("", frozenset())
    named: set[str] = set()
    lead, style = _look(scene, rng, named, habits)
    phrase = " ".join(filter(None, [lead, _thing(scene, rng, named, habits)]))
    around = _around(scene, rng, named, habits)
    if len(around) == 3 and rng.random() < 0.3:
        around = around[:1] + around[:0:-1]
    joint = ", " if rng.random() < 0.3 else " "
    text = joint.join([phrase, *around])
    if style:
        text = ", ".join([text, *style]) if rng.random() < 0.8 else " ".join([text, *style])
    return Caption(text, frozenset(named))
