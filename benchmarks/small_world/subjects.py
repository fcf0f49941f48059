"""The concepts to train: subjects and styles that no word names but that lie within the world.

A subject is a fixed, unusual combination of shape, texture, two colours and a marking. Captions name each part
somewhere, so the model can draw the whole; no caption has one word for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .drawing import draw
from .scenes import Look, Scene, Thing, hidden_on, random_thing

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
    Subject("royal_heart", Thing("heart", "purple", "dotted", "yellow"), "heart", True),
    Subject("jester_box", Thing("square", "blue", "checkered", "yellow", "hat", "red"), "box", True),
    Subject("koi", Thing("fish", "red", "striped", "white"), "fish", True),
    Subject("pansy", Thing("flower", "yellow", "dotted", "purple", "hat", "black"), "flower", True),
    Subject("party_ball", Thing("circle", "green", "checkered", "pink", "hat", "yellow"), "ball", True),
    Subject("zebra_ring", Thing("ring", "white", "striped", "black", "hat", "purple"), "ring", True),
    Subject("night_star", Thing("star", "blue", "dotted", "yellow"), "star", False),
    Subject("tile_heart", Thing("heart", "red", "checkered", "white", "hat", "green"), "heart", False),
    Subject("domino_box", Thing("square", "green", "dotted", "black", "hat", "pink"), "box", False),
    Subject("neon_tetra", Thing("fish", "black", "striped", "pink", "hat", "yellow"), "fish", False),
    Subject("chess_flower", Thing("flower", "purple", "checkered", "green"), "flower", False),
    Subject("signal_triangle", Thing("triangle", "yellow", "striped", "red", "hat", "blue"), "triangle", False),
    Subject("frosted_donut", Thing("ring", "pink", "dotted", "white", "hat", "blue"), "donut", False),
)
STYLES = (
    Style("arcade_glow", Look("neon", "none", True), "neon", True),
    Style("old_comic", Look("cartoon", "gray", True), "comic", False),
    Style("album_print", Look("flat", "gray", True), "monochrome", False),
)
# Backgrounds, places and sizes of a concept's images: as varied as a person's own four would be.
_SETTINGS = (
    ("meadow", "center", "large"), ("white", "left", "medium"), ("bricks", "right", "medium"),
    ("blue", "center", "medium"),
)  # fmt: skip
# Tried in turn where a background would hide the thing.
_INSTEAD = ("purple", "yellow", "black", "red", "pink")


def subject_scenes(subject: Subject) -> list[Scene]:
    """The four scenes of a subject's images."""
    taken = {background for background, _, _ in _SETTINGS}
    out = []
    for index, (background, place, size) in enumerate(_SETTINGS):
        if subject.thing.shown & set(hidden_on(background)):
            background = next(name for name in _INSTEAD if name not in taken | subject.thing.shown)
            taken.add(background)
        out.append(Scene(subject.thing, size, place, background, seed=1000 + index))
    return out


def style_scenes(style: Style) -> list[Scene]:
    """The four scenes of a style's images: four different things, drawn alike."""
    rng = np.random.default_rng(5 + STYLES.index(style) if style in STYLES else 5)
    settings = zip(_SETTINGS, ("heart", "fish", "flower", "star"), strict=True)
    out = []
    for index, ((background, place, size), shape) in enumerate(settings):
        drawn = random_thing(rng)
        colours = [name for name in (drawn.colour, drawn.second) if name not in hidden_on(background)]
        thing = Thing(shape, colours[0], "plain" if len(colours) == 1 else drawn.texture, colours[-1])
        out.append(Scene(thing, size, place, background, look=style.look, seed=2000 + index))
    return out


def scenes_of(concept: Subject | Style) -> list[Scene]:
    return subject_scenes(concept) if isinstance(concept, Subject) else style_scenes(concept)


def pictures_of(concept: Subject | Style) -> npt.NDArray[np.uint8]:
    """The images a concept is trained on: uint8 [4, 128, 128, 3]."""
    return np.stack([draw(scene) for scene in scenes_of(concept)])
