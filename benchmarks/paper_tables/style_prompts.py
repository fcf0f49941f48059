"""What trained styles are tried in: 20 prompts of things that the style's own images do not show, in three levels."""

from __future__ import annotations

from small_world import words
from small_world.judge import truth
from small_world.scenes import COMPANIONS, SIDES, Scene, Thing
from small_world.subjects import Style

from .prompts import COMPANY, Prompt

LOOK = ("medium", "tint", "framed")
_SHAPES = ("circle", "ring", "square", "triangle")
_COLOURS = ("red", "blue", "yellow", "green", "purple", "pink", "black")
_TEXTURES = ("striped", "dotted", "checkered")
_PLACES = ("left", "right", "top", "bottom")
COUNT = 20


def style_prompts(style: Style) -> tuple[Prompt, ...]:
    """Level 0 names a thing, level 1 also its texture, size or place, level 2 two of these and a companion."""
    return tuple(_prompt(style, number) for number in range(COUNT))


def style_description(style: Style) -> str:
    """The style in the world's words, for behind "in the style of"."""
    look = style.look
    kinds = ((words.MEDIUM_WORDS, look.medium), (words.TINT_WORDS, look.tint))
    said = [table[value][0] for table, value in kinds if value in table]
    return " ".join(said) + (f", {words.FRAME_WORDS[0]}" if look.framed else "")


def _prompt(style: Style, number: int) -> Prompt:
    level = min(2, number // 7)
    shape, colour, second = _SHAPES[number % 4], _COLOURS[number % 7], _COLOURS[(number + 2) % 7]
    companion, texture, size, place = "none", "plain", "medium", "center"
    named = {"shape", "colour"}
    if level == 1:
        texture = _TEXTURES[number % 3] if number % 2 else "plain"
        size = "small" if number % 4 == 0 else "medium"
        place = _PLACES[number // 4] if number % 4 == 2 else "center"
    if level == 2:
        place = _PLACES[number % 4]
        size = "small" if number % 2 else "medium"
        texture = "plain" if number % 2 else _TEXTURES[number % 3]
        companion = next(name for name in COMPANIONS[number % 4 :] if name != shape)
        named |= {*COMPANY, "companion_side"}
    named |= {"texture", "second"} if texture != "plain" else set()
    named |= {"size"} if size != "medium" else set()
    named |= {"place"} if place != "center" else set()
    scene = Scene(
        Thing(shape, colour, texture, second), size, place, "white", companion, _COLOURS[(number + 4) % 7],
        SIDES[place][0], look=style.look,
    )  # fmt: skip
    shown = truth(scene)
    return Prompt(_text(scene), level, scene, {name: shown[name] for name in sorted(named) if name in shown})


def _text(scene: Scene) -> str:
    thing = scene.thing
    colours = [words.COLOUR_WORDS[name][0] for name in (thing.colour, thing.second, scene.companion_colour)]
    phrase = words.TEXTURED[thing.texture][1].format(c=colours[0], d=colours[1], n=words.NOUNS[thing.shape][0])
    if scene.size != "medium":
        phrase = f"{words.SIZE_WORDS[scene.size][0]} {phrase}"
    text = f"a photo of a {phrase}"
    if scene.place != "center":
        text += f" {words.PLACE_WORDS[scene.place][0]}"
    if scene.companion != "none":
        beside = f"a {colours[2]} {words.NOUNS[scene.companion][0]}"
        text += f" {words.COMPANY[scene.companion_side][0].format(x=beside)}"
    return f"{text} in the style of {{}}"
