"""What an image of the world shows, as data, and how such scenes are drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import SHAPES

SIZE = 128
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 38, 38), "orange": (246, 138, 22), "yellow": (248, 218, 40), "green": (40, 158, 60),
    "blue": (36, 82, 214), "purple": (128, 46, 168), "pink": (250, 134, 190), "brown": (124, 74, 36),
    "black": (26, 24, 28), "white": (246, 246, 244),
}  # fmt: skip
TEXTURES = ("plain", "striped", "dotted", "checkered", "split", "bordered")
MARKINGS = ("none", "spot", "hat", "crown", "bow")
SIZES = {"small": 26.0, "medium": 36.0, "large": 46.0}
PLACES = ("center", "left", "right", "top", "bottom")
COMPANIONS = ("circle", "star", "heart", "tree", "house", "mushroom", "fish", "square")
VIEWS = ("beach", "night", "meadow", "bricks", "wood", "snow", "sunset", "sea", "forest", "city")
MEDIA = ("flat", "cartoon", "neon", "sketch")
FINISHES = ("none", "pixel", "soft")
TINTS = ("none", "sepia", "gray")
NAMES = tuple(COLOURS)


@dataclass(frozen=True)
class Look:
    """How an image is drawn, whatever it shows."""

    medium: str = "flat"
    finish: str = "none"
    tint: str = "none"
    framed: bool = False


@dataclass(frozen=True)
class Thing:
    """The main object: what stays the same in every image of one instance."""

    shape: str
    colour: str
    texture: str = "plain"
    second: str = "white"
    marking: str = "none"
    extra: str = "red"  # colour of a hat, a bow or a spot


@dataclass(frozen=True)
class Scene:
    """One image. The background is a colour name or one of VIEWS; the seed jitters the drawing."""

    thing: Thing
    size: str = "medium"
    place: str = "center"
    background: str = "white"
    companion: str = "none"
    companion_colour: str = "red"
    look: Look = Look()
    seed: int = 0


def _other(rng: np.random.Generator, *taken: str) -> str:
    return str(rng.choice([name for name in NAMES if name not in taken]))


def random_thing(rng: np.random.Generator) -> Thing:
    """An object; two-tone textures always have two different colours."""
    colour = str(rng.choice(NAMES))
    return Thing(
        shape=str(rng.choice(SHAPES)),
        colour=colour,
        texture=str(rng.choice(TEXTURES, p=[0.34, 0.16, 0.14, 0.14, 0.11, 0.11])),
        second="white" if colour != "white" and rng.random() < 0.15 else _other(rng, colour),
        marking=str(rng.choice(MARKINGS, p=[0.56, 0.11, 0.12, 0.1, 0.11])),
        extra=_other(rng, colour),
    )


def random_look(rng: np.random.Generator) -> Look:
    """Mostly the plain look; each departure on its own, so that any combination occurs."""
    if rng.random() < 0.68:
        return Look()
    return Look(
        medium=str(rng.choice(MEDIA, p=[0.46, 0.18, 0.18, 0.18])),
        finish=str(rng.choice(FINISHES, p=[0.62, 0.19, 0.19])),
        tint=str(rng.choice(TINTS, p=[0.74, 0.13, 0.13])),
        framed=bool(rng.random() < 0.15),
    )


def random_background(rng: np.random.Generator, thing: Thing) -> str:
    """A view, white, or a colour that the object does not have."""
    draw = rng.random()
    if draw < 0.48:
        return str(rng.choice(VIEWS))
    if draw < 0.6 and thing.colour != "white":
        return "white"
    return _other(rng, thing.colour)


def surround(rng: np.random.Generator, thing: Thing, look: Look | None = None) -> Scene:
    """The thing somewhere: place, size, background and company at random."""
    background = random_background(rng, thing)
    return Scene(
        thing=thing,
        size=str(rng.choice(list(SIZES), p=[0.25, 0.45, 0.3])),
        place=str(rng.choice(PLACES, p=[0.4, 0.15, 0.15, 0.15, 0.15])),
        background=background,
        companion=str(rng.choice(COMPANIONS)) if rng.random() < 0.33 else "none",
        companion_colour=_other(rng, background),
        look=random_look(rng) if look is None else look,
        seed=int(rng.integers(2**31)),
    )


def random_scene(rng: np.random.Generator) -> Scene:
    return surround(rng, random_thing(rng))


def departures(scene: Scene) -> int:
    """How much there is to say beside shape, colour, size, place and background."""
    thing, look = scene.thing, scene.look
    return sum(
        (
            thing.texture != "plain", thing.marking != "none", scene.companion != "none",
            look.medium != "flat", look.finish != "none", look.tint != "none", look.framed,
        )
    )  # fmt: skip
