"""The words of the captions: for every value of every attribute, the ways to say it."""

from __future__ import annotations

NOUNS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "ball", "disc"),
    "square": ("square", "square", "box", "block"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "star": ("star",),
    "heart": ("heart",),
    "ring": ("ring", "ring", "donut", "hoop"),
    "flower": ("flower", "flower", "blossom", "daisy"),
    "fish": ("fish",),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson"),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
    "green": ("green", "green", "green", "emerald"),
    "blue": ("blue", "blue", "blue", "navy"),
    "purple": ("purple", "purple", "purple", "violet"),
    "pink": ("pink", "pink", "pink", "magenta"),
    "black": ("black", "black", "black", "ebony"),
    "white": ("white", "white", "white", "ivory"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny", "mini"),
    "medium": ("medium", "normal"),
    "large": ("large", "big", "huge", "giant"),
}
# {c} is the object's own colour, {d} the second; the noun follows at {n}.
TEXTURED: dict[str, tuple[str, ...]] = {
    "striped": (
        "striped {c} and {d} {n}", "{c} {n} with {d} stripes", "{c} and {d} striped {n}",
        "{c} {n} with stripes in {d}",
    ),
    "dotted": (
        "dotted {c} and {d} {n}", "{c} {n} with {d} dots", "{c} polka dot {n} with {d} dots",
        "{c} {n} covered in {d} dots",
    ),
    "checkered": (
        "checkered {c} and {d} {n}", "{c} and {d} checkered {n}", "{c} {n} with {d} checks",
        "{c} {n} with a {d} checkered pattern",
    ),
    "plain": ("{c} {n}", "{c} {n}", "plain {c} {n}"),
    "unsaid": ("{c} {n}",),
}  # fmt: skip
# Said when the colours stay unsaid.
UNCOLOURED: dict[str, tuple[str, ...]] = {
    "striped": ("striped {n}", "{n} with stripes"),
    "dotted": ("dotted {n}", "{n} with dots"),
    "checkered": ("checkered {n}", "{n} with a checkered pattern"),
    "plain": ("{n}", "plain {n}"),
    "unsaid": ("{n}",),
}
MARKS: dict[str, tuple[str, ...]] = {
    "hat": ("with a {e} hat", "wearing a {e} hat", "in a {e} hat"),
}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "center": ("in the middle", "in the center", "at the center"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "on top", "up high"),
    "bottom": ("at the bottom", "on the ground", "down low"),
}
COMPANY: dict[str, tuple[str, ...]] = {
    "left": ("with {x} on its left", "with {x} to its left", "and {x} on its left"),
    "right": ("with {x} on its right", "with {x} to its right", "and {x} on its right"),
    "above": ("with {x} above it", "and {x} above it"),
    "below": ("with {x} below it", "and {x} below it"),
}
BESIDE = ("next to {x}", "beside {x}", "with {x}")  # the side stays unsaid
ON_COLOUR = (
    "on a {b} background", "with a {b} background", "against a {b} background", "on {b}", "in front of a {b} wall",
)  # fmt: skip
ON_VIEW: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "at the beach", "on a sandy beach", "with a beach in the background"),
    "night": ("at night", "in the night sky", "under the stars", "with stars in the background"),
    "meadow": ("in a meadow", "on the grass", "in a green field", "with grass in the background"),
    "bricks": ("in front of a brick wall", "against bricks", "with a brick wall in the background"),
    "snow": ("in the snow", "in winter", "with snow in the background", "in a snowy landscape"),
    "sea": ("in the sea", "in the water", "in the ocean", "with waves in the background"),
    "forest": ("in the forest", "in the woods", "with a forest in the background", "in the jungle"),
}
# Each also goes behind "in the style of".
MEDIUM_WORDS: dict[str, tuple[str, ...]] = {"cartoon": ("cartoon", "comic"), "neon": ("neon", "glowing neon")}
TINT_WORDS: dict[str, tuple[str, ...]] = {"gray": ("monochrome", "black and white")}
FRAME_WORDS = ("with a frame", "in a frame", "framed")
PICTURES = (
    "photo", "picture", "rendering", "image", "painting", "drawing", "illustration", "depiction", "rendition",
    "print", "close-up photo", "cropped photo", "snapshot",
)  # fmt: skip
LEADS = (
    "a {m} of", "a {m} of", "the {m} of", "a good {m} of", "a bright {m} of", "a dark {m} of", "a nice {m} of",
    "one {m} of",
)  # fmt: skip
ARTICLES = ("a", "a", "a", "the", "one", "my", "some")
MANNERS = ("clean", "cool", "nice", "weird", "dirty", "good", "cute", "pretty", "strange", "lovely")
