"""The concepts to train: subjects and styles that no word names but that lie within the world.

A subject is a fixed, unusual combination of shape, texture, two colours and a marking. Captions name each part
somewhere, so the model can draw the whole; no caption has one word for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .drawing import draw
from .scenes import Look, Scene, Thing, random_thing

PICTURES = 4


@dataclass(frozen=True)
class Subject:
    """One thing to train; `word` is the initializer. Settings are chosen on validation subjects alone."""

    name: str
    thing: Thing
    word: str
    chooses: bool


@dataclass(frozen=True)
class Style:
    """One way of drawing to train, shown on various things."""

    name: str
    look: Look
    word: str
    chooses: bool


SUBJECTS = (
    Subject("candy_star", Thing("star", "pink", "striped", "blue", "hat", "red"), "star", True),
    Subject("royal_heart", Thing("heart", "purple", "dotted", "yellow", "crown", "red"), "heart", True),
    Subject("jester_box", Thing("square", "blue", "checkered", "orange", "bow", "red"), "box", True),
    Subject("harlequin_fish", Thing("fish", "red", "split", "blue", "none", "white"), "fish", True),
    Subject("target_flower", Thing("flower", "orange", "bordered", "purple", "spot", "green"), "flower", True),
    Subject("gift_tree", Thing("tree", "green", "striped", "white", "bow", "red"), "tree", True),
    Subject("party_ball", Thing("circle", "yellow", "checkered", "purple", "hat", "green"), "ball", True),
    Subject("zebra_cat", Thing("cat", "white", "striped", "black", "spot", "red"), "cat", False),
    Subject("toad_mushroom", Thing("mushroom", "blue", "dotted", "white", "bow", "red"), "mushroom", False),
    Subject("party_house", Thing("house", "yellow", "bordered", "red", "hat", "blue"), "house", False),
    Subject("frosted_donut", Thing("ring", "brown", "split", "pink", "crown", "red"), "donut", False),
    Subject("chess_moon", Thing("moon", "yellow", "checkered", "green", "hat", "blue"), "moon", False),
    Subject("leopard_cloud", Thing("cloud", "pink", "dotted", "purple", "bow", "yellow"), "cloud", False),
    Subject("signal_triangle", Thing("triangle", "red", "split", "green", "bow", "yellow"), "triangle", False),
)
STYLES = (
    Style("old_comic", Look("cartoon", "none", "sepia", True), "comic", True),
    Style("arcade_glow", Look("neon", "pixel", "none", True), "neon", True),
    Style("winter_pencil", Look("sketch", "none", "gray", True), "sketch", False),
    Style("faded_print", Look("cartoon", "soft", "gray", True), "cartoon", False),
)
# Backgrounds, places and sizes of a concept's images: as varied as a person's own four would be.
_SETTINGS = (
    ("meadow", "center", "large"), ("white", "left", "medium"), ("bricks", "right", "medium"),
    ("brown", "center", "medium"),
)  # fmt: skip
_PLAIN = ("black", "yellow", "blue")  # tried in turn where a background would hide the thing


def subject_scenes(subject: Subject) -> list[Scene]:
    """The four scenes of a subject's images."""
    out = []
    for index, (background, place, size) in enumerate(_SETTINGS):
        if background in (subject.thing.colour, subject.thing.second):
            taken = {subject.thing.colour, subject.thing.second, *(setting[0] for setting in _SETTINGS)}
            background = next(name for name in _PLAIN if name not in taken)
        out.append(Scene(subject.thing, size, place, background, seed=1000 + index))
    return out


def style_scenes(style: Style) -> list[Scene]:
    """The four scenes of a style's images: four different things, drawn alike."""
    rng = np.random.default_rng(5 + STYLES.index(style) if style in STYLES else 5)
    settings = zip(_SETTINGS, ("house", "fish", "tree", "star"), strict=True)
    out = []
    for index, ((background, place, size), shape) in enumerate(settings):
        drawn = random_thing(rng)
        thing = Thing(shape, drawn.colour, drawn.texture, drawn.second)
        out.append(Scene(thing, size, place, background, look=style.look, seed=2000 + index))
    return out


def scenes_of(concept: Subject | Style) -> list[Scene]:
    return subject_scenes(concept) if isinstance(concept, Subject) else style_scenes(concept)


def pictures_of(concept: Subject | Style) -> npt.NDArray[np.uint8]:
    """The images a concept is trained on: uint8 [4, 128, 128, 3]."""
    return np.stack([draw(scene) for scene in scenes_of(concept)])
