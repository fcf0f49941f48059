"""What learned words are tried in: 40 prompts in three levels of complexity, in words that the small world knows.

They say where the subject is, how large, beside what, and how the picture is drawn; never what the subject looks
like. `{}` is where the word goes. Backgrounds are others than those of the pictures that the subject is learned
from, so that a background soaked up in training cannot pass for one that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from small_world import words
from small_world.judge import truth
from small_world.scenes import COLOURS, Look, Scene, Thing

LEVELS = ("one attribute", "two attributes", "three or more")
# Each is one prompt. "blue-house" is a companion with its colour; what a tinted, neon or sketched picture does
# not show is not asked of it.
_ONE = (
    "background=beach", "background=night", "background=snow", "background=city", "background=forest",
    "background=green", "size=small", "place=top", "place=left", "companion=blue-house", "companion=red-tree",
    "medium=neon", "medium=sketch", "finish=pixel",
)  # fmt: skip
_TWO = (
    "background=sea place=bottom", "background=night size=small", "background=sunset companion=blue-star",
    "background=wood place=right", "medium=cartoon background=beach", "finish=soft background=snow",
    "framed=yes background=forest", "tint=sepia place=left", "medium=neon framed=yes", "medium=sketch size=small",
    "companion=green-fish background=purple", "size=large background=city", "finish=pixel companion=yellow-heart",
)  # fmt: skip
_MORE = (
    "size=small place=left background=snow", "place=right companion=red-heart background=forest",
    "size=large background=beach framed=yes", "medium=cartoon background=night companion=pink-tree",
    "finish=pixel place=top background=sea", "size=small companion=orange-mushroom background=city",
    "medium=cartoon finish=soft background=sunset", "medium=neon size=small place=bottom",
    "tint=gray place=right framed=yes", "medium=sketch place=top companion=red-square",
    "size=small place=left companion=blue-tree background=beach", "finish=soft framed=yes place=bottom background=wood",
    "medium=cartoon size=large companion=purple-star background=green",
)  # fmt: skip
SPECIFICATIONS = (_ONE, _TWO, _MORE)
# Taken where a prompt's companion has the subject's own shape, or its background a colour of the subject.
_OTHER_COMPANIONS = ("circle", "house")
_OTHER_COLOURS = ("red", "pink", "orange")


@dataclass(frozen=True)
class Prompt:
    """A prompt, the scene it asks for, and which attributes of that scene can be held against a picture.

    text: with `{}` for the word. level: 0, 1 or 2, of LEVELS. wanted: attribute to value, as the judge names them.
    """

    text: str
    level: int
    scene: Scene
    wanted: dict[str, str]


def prompts_for(thing: Thing) -> tuple[Prompt, ...]:
    """The 40 prompts, fitted to a subject where one would otherwise name its shape or hide it."""
    return tuple(
        _prompt(specification, level, thing) for level, lines in enumerate(SPECIFICATIONS) for specification in lines
    )


def fill(text: str, word: str) -> str:
    """The prompt with `word` in the place of `{}`, and its article right."""
    return text.replace("a {}", "an {}").replace("{}", word) if word[0] in "aeio" else text.replace("{}", word)


def description(thing: Thing) -> str:
    """Everything that makes a subject what it is, in words: a ceiling for what any word can do."""
    noun, colour = words.NOUNS[thing.shape][0], words.COLOUR_WORDS[thing.colour][0]
    second, extra = words.COLOUR_WORDS[thing.second][0], words.COLOUR_WORDS[thing.extra][0]
    pattern = next(p for p in reversed(words.TEXTURED[thing.texture]) if "{d}" in p or thing.texture == "plain")
    phrase = pattern.format(c=colour, d=second, n=noun)
    if thing.marking == "none":
        return phrase
    # "wearing a hat" where there is such a phrase: the pattern may have said "with" already.
    mark = next((m for m in words.MARKS[thing.marking] if not m.startswith("with")), words.MARKS[thing.marking][0])
    mark = mark.format(e=extra)
    joint = " and " if " with " in phrase and mark.startswith("with ") else " "
    return phrase + joint + (mark.removeprefix("with ") if joint == " and " else mark)


def _prompt(specification: str, level: int, thing: Thing) -> Prompt:
    asked = dict(part.split("=") for part in specification.split())
    scene = _scene(asked, thing)
    shown = truth(scene)
    named = {key for key in asked if key != "companion"}
    if "companion" in asked:
        named |= {"companion", "companion_colour"}
    return Prompt(_text(scene, set(asked)), level, scene, {key: shown[key] for key in sorted(named) if key in shown})


def _scene(asked: dict[str, str], thing: Thing) -> Scene:
    look = Look(
        asked.get("medium", "flat"), asked.get("finish", "none"), asked.get("tint", "none"), "framed" in asked
    )
    scene = Scene(
        thing, asked.get("size", "medium"), asked.get("place", "center"), asked.get("background", "white"), look=look
    )
    if "companion" in asked:
        colour, shape = asked["companion"].split("-")
        shapes = (shape, *_OTHER_COMPANIONS)
        scene = replace(
            scene, companion=next(s for s in shapes if s != thing.shape), companion_colour=colour
        )
    if scene.background in COLOURS:
        taken = {thing.colour, thing.second, scene.companion_colour if "companion" in asked else ""}
        scene = replace(scene, background=next(c for c in (scene.background, *_OTHER_COLOURS) if c not in taken))
    return scene


def _text(scene: Scene, asked: set[str]) -> str:
    look = scene.look
    kinds = {"medium": words.MEDIUM_WORDS, "finish": words.FINISH_WORDS, "tint": words.TINT_WORDS}
    drawn = [table[getattr(look, kind)][0] for kind, table in kinds.items() if kind in asked]
    text = " ".join(["a", *drawn, "photo of a {}"])
    if "size" in asked:
        text = text.replace("{}", f"{words.SIZE_WORDS[scene.size][0]} {{}}")
    if "place" in asked:
        text += f" {words.PLACE_WORDS[scene.place][0]}"
    if "companion" in asked:
        colour = words.COLOUR_WORDS[scene.companion_colour][0]
        article = "an" if colour[0] in "aeio" else "a"
        text += f" next to {article} {colour} {words.NOUNS[scene.companion][0]}"
    if "background" in asked:
        text += f" {_behind(scene.background)}"
    if look.framed:
        text += f", {words.FRAME_WORDS[0]}"
    return text


def _behind(name: str) -> str:
    if name in COLOURS:
        return words.ON_COLOUR[0].format(b=words.COLOUR_WORDS[name][0])
    return words.ON_VIEW[name][0]
