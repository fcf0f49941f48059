"""What an image of the world shows, as data, and how such scenes are drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import SHAPES

SIZE = 128
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 38, 38), "yellow": (248, 218, 40), "green": (40, 158, 60), "blue": (36, 82, 214),
    "purple": (128, 46, 168), "pink": (250, 134, 190), "black": (26, 24, 28), "white": (246, 246, 244),
}  # fmt: skip
TEXTURES = ("plain", "striped", "dotted", "checkered")
MARKINGS = ("none", "hat")
SIZES = {"small": 24.0, "medium": 34.0, "large": 48.0}
PLACES = ("center", "left", "right", "top", "bottom")
COMPANIONS = ("circle", "star", "heart", "square")
# Where a companion can stand, by the place of the thing.
SIDES: dict[str, tuple[str, ...]] = {
    "center": ("left", "right"), "left": ("right",), "right": ("left",), "top": ("below",), "bottom": ("above",),
}  # fmt: skip
VIEWS = ("beach", "night", "meadow", "bricks", "snow", "sea", "forest")
# Colours that a view would hide.
HIDDEN: dict[str, tuple[str, ...]] = {
    "night": ("black",), "meadow": ("green",), "bricks": ("red",), "snow": ("white",), "sea": ("blue",),
    "forest": ("green",),
}  # fmt: skip
MEDIA = ("flat", "cartoon", "neon")
TINTS = ("none", "gray")
NAMES = tuple(COLOURS)


def hidden_on(background: str) -> tuple[str, ...]:
    """The colours that cannot be told from a background: its own, or those of HIDDEN."""
    return (background,) if background in COLOURS else HIDDEN.get(background, ())


@dataclass(frozen=True)
class Look:
    """How an image is drawn, whatever it shows."""

    medium: str = "flat"
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
    extra: str = "red"  # colour of a hat

    @property
    def shown(self) -> set[str]:
        """The colours that an image of it shows."""
        second = {self.second} if self.texture != "plain" else set()
        return {self.colour, *second, *({self.extra} if self.marking == "hat" else ())}


@dataclass(frozen=True)
class Scene:
    """One image. The background is a colour name or one of VIEWS; the seed jitters the drawing."""

    thing: Thing
    size: str = "medium"
    place: str = "center"
    background: str = "white"
    companion: str = "none"
    companion_colour: str = "red"
    companion_side: str = "right"  # of the thing; one of SIDES[place]
    twice: bool = False  # a second companion on the other side; no caption asks for it, an evaluator has to see it
    look: Look = Look()
    seed: int = 0


def _other(rng: np.random.Generator, *taken: str) -> str:
    return str(rng.choice([name for name in NAMES if name not in taken]))


def random_thing(rng: np.random.Generator) -> Thing:
    """An object; two-tone textures always have two different colours."""
    colour = str(rng.choice(NAMES))
    second = _other(rng, colour)
    return Thing(
        shape=str(rng.choice(SHAPES)),
        colour=colour,
        texture=str(rng.choice(TEXTURES, p=[0.31, 0.23, 0.23, 0.23])),
        second=second,
        marking=str(rng.choice(MARKINGS, p=[0.75, 0.25])),
        extra=_other(rng, colour, second),
    )


def random_look(rng: np.random.Generator) -> Look:
    """Mostly the plain look; each departure on its own, so that any combination occurs."""
    if rng.random() < 0.82:
        return Look()
    return Look(
        medium=str(rng.choice(MEDIA, p=[0.4, 0.3, 0.3])),
        tint=str(rng.choice(TINTS, p=[0.75, 0.25])),
        framed=bool(rng.random() < 0.35),
    )


def random_background(rng: np.random.Generator, thing: Thing) -> str:
    """A view, or a colour, that hides nothing of the object."""
    names = VIEWS if rng.random() < 0.52 else NAMES
    return str(rng.choice([name for name in names if not thing.shown & set(hidden_on(name))]))


def surround(rng: np.random.Generator, thing: Thing, look: Look | None = None) -> Scene:
    """The thing somewhere: place, size, background and company at random. Large things are alone in the middle."""
    background = random_background(rng, thing)
    accompanied = rng.random() < 0.5
    size = str(rng.choice(list(SIZES), p=[0.46, 0.54, 0] if accompanied else [0.2, 0.3, 0.5]))
    place = "center" if size == "large" else str(rng.choice(PLACES, p=[0.28, 0.18, 0.18, 0.18, 0.18]))
    return Scene(
        thing=thing,
        size=size,
        place=place,
        background=background,
        companion=str(rng.choice(COMPANIONS)) if accompanied else "none",
        companion_colour=_other(rng, *hidden_on(background)),
        companion_side=str(rng.choice(SIDES[place])),
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
            look.medium != "flat", look.tint != "none", look.framed,
        )
    )  # fmt: skip
