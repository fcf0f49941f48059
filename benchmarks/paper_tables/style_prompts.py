"""What learned styles are tried in: 20 prompts of things that the style's own pictures do not show, in three levels."""

from __future__ import annotations

from small_world import words
from small_world.judge import truth
from small_world.scenes import COMPANIONS, Scene, Thing
from small_world.subjects import Style

from .prompts import Prompt

LOOK = ("medium", "finish", "tint", "framed")
_SHAPES = ("heart", "moon", "mushroom", "cat", "flower", "cloud", "ring")
_COLOURS = ("red", "blue", "yellow", "green", "purple", "pink", "orange")
_TEXTURES = ("striped", "dotted", "checkered")
_PLACES = ("left", "right", "top", "bottom")
COUNT = 20


def style_prompts(style: Style) -> tuple[Prompt, ...]:
    """Level 0 names a thing, level 1 also its texture, size or place, level 2 two of these and a companion."""
    return tuple(_prompt(style, number) for number in range(COUNT))


def style_description(style: Style) -> str:
    """The style in the world's words, for behind "in the style of"."""
    look = style.look
    kinds = ((words.MEDIUM_WORDS, look.medium), (words.FINISH_WORDS, look.finish), (words.TINT_WORDS, look.tint))
    said = [table[value][0] for table, value in kinds if value in table]
    return " ".join(said) + (f", {words.FRAME_WORDS[0]}" if look.framed else "")


def _prompt(style: Style, number: int) -> Prompt:
    level = min(2, number // 7)
    shape, colour = _SHAPES[number % 7], _COLOURS[(number + level) % 7]
    companion = "none"
    texture, size, place = "plain", "medium", "center"
    named = {"shape"}
    if level == 1:
        texture = _TEXTURES[number % 3] if number % 2 else "plain"
        size = "small" if number % 4 == 0 else "medium"
        place = _PLACES[number % 4] if number % 4 == 2 else "center"
    if level == 2:
        place = _PLACES[number % 4]
        size = "small" if number % 2 else "medium"
        texture = "plain" if number % 2 else _TEXTURES[number % 3]
        companion = next(c for c in COMPANIONS[number % 4 :] if c != shape)
        named |= {"companion"}
    # Of a pattern with one colour named, any second one is right, and which is which cannot always be seen.
    named |= {"texture"} if texture != "plain" else {"colour"}
    named |= {"size"} if size != "medium" else set()
    named |= {"place"} if place != "center" else set()
    scene = Scene(Thing(shape, colour, texture), size, place, "white", companion, "brown", look=style.look)
    shown = truth(scene)
    return Prompt(_text(scene), level, scene, {name: shown[name] for name in sorted(named) if name in shown})


def _text(scene: Scene) -> str:
    thing = scene.thing
    pattern = next(p for p in words.TEXTURED[thing.texture] if "{d}" not in p)
    phrase = pattern.format(c=words.COLOUR_WORDS[thing.colour][0], n=words.NOUNS[thing.shape][0])
    if scene.size != "medium":
        phrase = f"{words.SIZE_WORDS[scene.size][0]} {phrase}"
    text = f"a photo of {'an' if phrase[0] in 'aeio' else 'a'} {phrase}"
    if scene.place != "center":
        text += f" {words.PLACE_WORDS[scene.place][0]}"
    if scene.companion != "none":
        text += f" next to a {words.COLOUR_WORDS[scene.companion_colour][0]} {words.NOUNS[scene.companion][0]}"
    return f"{text} in the style of {{}}"
