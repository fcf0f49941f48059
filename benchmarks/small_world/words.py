"""The words of the captions: for every value of every attribute, the ways to say it."""

from __future__ import annotations

NOUNS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "ball", "disc"),
    "square": ("square", "square", "box", "block"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "star": ("star",),
    "heart": ("heart",),
    "ring": ("ring", "ring", "donut", "hoop"),
    "moon": ("moon", "moon", "crescent"),
    "flower": ("flower", "flower", "blossom", "daisy"),
    "cloud": ("cloud",),
    "fish": ("fish",),
    "house": ("house", "house", "home", "cottage"),
    "tree": ("tree", "tree", "pine"),
    "mushroom": ("mushroom", "mushroom", "fungus"),
    "cat": ("cat", "cat", "kitten"),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange", "orange", "tangerine"),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "navy"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "magenta"),
    "brown": ("brown", "brown", "chocolate"),
    "black": ("black", "black", "ebony"),
    "white": ("white", "white", "ivory"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny", "mini"),
    "medium": ("medium", "normal"),
    "large": ("large", "big", "huge", "giant"),
}
# {c} is the object's own colour, {d} the second; the noun follows at {n}.
TEXTURED: dict[str, tuple[str, ...]] = {
    "striped": (
        "striped {c} {n}", "{c} striped {n}", "{c} {n} with {d} stripes", "{c} and {d} striped {n}",
        "{c} {n} with stripes in {d}",
    ),
    "dotted": (
        "dotted {c} {n}", "{c} spotted {n}", "{c} {n} with {d} dots", "{c} polka dot {n} with {d} dots",
        "{c} {n} covered in {d} dots",
    ),
    "checkered": (
        "checkered {c} {n}", "{c} and {d} checkered {n}", "{c} {n} with {d} checks",
        "{c} {n} with a {d} checkered pattern",
    ),
    "split": (
        "half {c} half {d} {n}", "two tone {c} and {d} {n}", "{c} {n} with a {d} half",
        "{n} split in {c} and {d}",
    ),
    "bordered": (
        "{c} {n} with a {d} border", "{c} {n} with a {d} edge", "{c} {n} with a {d} rim",
    ),
    "plain": ("{c} {n}", "{c} {n}", "{n} in {c}", "plain {c} {n}", "{c} colored {n}"),
}  # fmt: skip
# Said when the colours stay unsaid.
UNCOLOURED: dict[str, tuple[str, ...]] = {
    "striped": ("striped {n}", "{n} with stripes"),
    "dotted": ("dotted {n}", "spotted {n}", "{n} with dots"),
    "checkered": ("checkered {n}", "{n} with a checkered pattern"),
    "split": ("two tone {n}",),
    "bordered": ("{n} with a border", "{n} with an edge"),
    "plain": ("{n}", "plain {n}"),
}
MARKS: dict[str, tuple[str, ...]] = {
    "spot": ("with a {e} spot", "with a {e} dot in the middle", "with one {e} spot"),
    "hat": ("with a {e} hat", "wearing a {e} hat", "in a {e} hat"),
    "crown": ("with a crown", "wearing a crown", "with a golden crown"),
    "bow": ("with a {e} bow", "wearing a {e} bow tie", "with a {e} ribbon"),
}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "center": ("in the middle", "in the center", "at the center"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "on top", "up high"),
    "bottom": ("at the bottom", "on the ground", "down low"),
}
COMPANY = (
    "next to {x}", "beside {x}", "near {x}", "with {x}", "and {x}", "together with {x}",
    "with {x} next to it", "with {x} beside it",
)  # fmt: skip
ON_COLOUR = (
    "on a {b} background", "with a {b} background", "against a {b} background", "on {b}", "in front of a {b} wall",
)  # fmt: skip
ON_VIEW: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "at the beach", "on a sandy beach", "with a beach in the background"),
    "night": ("at night", "in the night sky", "under the stars", "with stars in the background"),
    "meadow": ("in a meadow", "on the grass", "in a green field", "with grass in the background"),
    "bricks": ("in front of a brick wall", "against bricks", "with a brick wall in the background"),
    "wood": ("on a wooden table", "on wood", "on a wooden floor", "with a wooden background"),
    "snow": ("in the snow", "in winter", "with snow in the background", "in a snowy landscape"),
    "sunset": ("at sunset", "in the evening", "with a sunset in the background", "at dusk"),
    "sea": ("in the sea", "in the water", "in the ocean", "with waves in the background"),
    "forest": ("in the forest", "in the woods", "with a forest in the background", "in the jungle"),
    "city": ("in the city", "in a town", "with a city in the background", "on a street with buildings"),
}
# The last word of each list of look words also goes behind "in the style of".
MEDIUM_WORDS: dict[str, tuple[str, ...]] = {
    "cartoon": ("cartoon", "comic"),
    "neon": ("neon", "glowing neon"),
    "sketch": ("sketch", "pencil sketch", "crayon"),
}
FINISH_WORDS: dict[str, tuple[str, ...]] = {
    "pixel": ("pixel", "pixel art", "mosaic"),
    "soft": ("blurry", "soft", "watercolor"),
}
TINT_WORDS: dict[str, tuple[str, ...]] = {
    "sepia": ("vintage", "vintage", "antique", "old"),
    "gray": ("monochrome", "black and white"),
}
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
