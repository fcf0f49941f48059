"""What trained embeddings are tried in: 40 prompts in three levels of complexity, in words that the small world knows.

They say where the subject is, how large, beside what, and how the image is drawn; never what the subject looks
like. `{}` is where the embedding goes. Backgrounds are others than those of the images that the subject is trained
on, so that a background soaked up in training cannot pass for one that was asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from small_world import words
from small_world.judge import truth
from small_world.scenes import COLOURS, COMPANIONS, NAMES, SIDES, VIEWS, Look, Scene, Thing, hidden_on
from small_world.subjects import Subject, subject_scenes

LEVELS = ("one attribute", "two attributes", "three or more")
# Each is one prompt. "red-square" is a companion with its colour, `side` where it stands: companions are beside small
# and medium things, large things are alone in the middle.
_ONE = (
    "background=beach", "background=night", "background=snow", "background=sea", "background=forest",
    "size=small", "size=large", "place=left", "place=top", "companion=red-square side=left",
    "companion=green-star side=right", "medium=cartoon", "medium=neon", "framed=yes",
)  # fmt: skip
_TWO = (
    "place=left background=snow", "place=bottom background=forest", "size=small background=night",
    "size=large background=beach", "size=large background=purple", "size=small place=right",
    "companion=yellow-circle side=left background=sea", "companion=purple-heart side=right background=beach",
    "companion=blue-star side=right background=pink", "size=small companion=pink-square side=left",
    "place=top companion=green-circle side=below", "medium=cartoon background=snow", "framed=yes background=night",
)  # fmt: skip
_MORE = (
    "size=small place=left background=beach", "size=small place=top background=forest",
    "size=small place=right background=yellow", "place=left companion=red-circle side=right background=snow",
    "place=right companion=blue-heart side=left background=beach",
    "place=top companion=yellow-star side=below background=night",
    "place=bottom companion=pink-heart side=above background=sea",
    "size=small companion=purple-star side=right background=forest",
    "size=small companion=green-square side=left background=red",
    "size=small place=left companion=black-circle side=right background=sea",
    "medium=cartoon size=large background=forest", "medium=neon size=small place=bottom",
    "framed=yes size=small background=snow",
)  # fmt: skip
SPECIFICATIONS = (_ONE, _TWO, _MORE)
# Of a companion: there, once, in its shape and colour. Together they are one demand.
COMPANY = ("companion", "companions", "companion_colour")


@dataclass(frozen=True)
class Prompt:
    """A prompt, the scene it asks for, and which attributes of that scene can be held against an image.

    text: with `{}` for the embedding. level: 0, 1 or 2, of LEVELS. wanted: attribute to value, as the judge names them.
    """

    text: str
    level: int
    scene: Scene
    wanted: dict[str, str]


def prompts_for(subject: Subject) -> tuple[Prompt, ...]:
    """The 40 prompts; what would hide the subject, or name its shape or a colour of its own, gives way to the next."""
    own = {scene.background for scene in subject_scenes(subject)}
    shown: Counter[str] = Counter()
    out = []
    for level, lines in enumerate(SPECIFICATIONS):
        for line in lines:
            asked = dict(part.split("=") for part in line.split())
            scene = _scene(asked, subject.thing, own)
            # One view may stand in for another: each time in other words.
            times = shown[scene.background]
            shown[scene.background] += "background" in asked
            out.append(Prompt(_text(scene, set(asked), times), level, scene, _wanted(scene, set(asked))))
    return tuple(out)


def fill(text: str, word: str) -> str:
    """The prompt with `word` in the place of `{}`, and its article right."""
    return text.replace("a {}", "an {}").replace("{}", word) if word[0] in "aeio" else text.replace("{}", word)


def description(thing: Thing) -> str:
    """Everything that makes a subject what it is, in words: a ceiling for what any embedding can do."""
    colour, second, extra = (words.COLOUR_WORDS[name][0] for name in (thing.colour, thing.second, thing.extra))
    phrase = words.TEXTURED[thing.texture][1].format(c=colour, d=second, n=words.NOUNS[thing.shape][0])
    if thing.marking == "none":
        return phrase
    # "wearing a hat": the phrase may have said "with" already.
    mark = next(m for m in words.MARKS[thing.marking] if not m.startswith("with"))
    return f"{phrase} {mark.format(e=extra)}"


def _wanted(scene: Scene, asked: set[str]) -> dict[str, str]:
    """Of what is asked, what an image shows: a neon one has no background to tell."""
    named = asked - {"companion", "side"}
    named |= {*COMPANY, "companion_side"} if "companion" in asked else set()
    shown = truth(scene)
    return {name: shown[name] for name in sorted(named) if name in shown}


def _scene(asked: dict[str, str], thing: Thing, own: Iterable[str]) -> Scene:
    place, wanted = asked.get("place", "center"), asked.get("background", "white")
    taken = {*own} if "background" in asked else set()
    background = _next(
        wanted, NAMES if wanted in COLOURS else VIEWS,
        lambda name: name not in taken and not thing.shown & {*hidden_on(name)},
    )  # fmt: skip
    look = Look(asked.get("medium", "flat"), asked.get("tint", "none"), "framed" in asked)
    if "companion" not in asked:
        return Scene(thing, asked.get("size", "medium"), place, background, look=look)
    colour, shape = asked["companion"].split("-")
    return Scene(
        thing, asked.get("size", "medium"), place, background,
        companion=_next(shape, COMPANIONS, lambda name: name != thing.shape),
        companion_colour=_next(colour, NAMES, lambda name: name not in {*thing.shown, *hidden_on(background)}),
        companion_side=_next(asked["side"], SIDES[place], lambda name: True),
        look=look,
    )  # fmt: skip


def _next(name: str, names: Sequence[str], fits: Callable[[str], bool]) -> str:
    """The name, or the first behind it, round and round, that fits."""
    start = names.index(name)
    return next(found for found in (*names[start:], *names[:start]) if fits(found))


def _text(scene: Scene, asked: set[str], times: int) -> str:
    look = scene.look
    drawn = [words.MEDIUM_WORDS[look.medium][0]] if "medium" in asked else []
    text = " ".join(["a", *drawn, "photo of a {}"])
    if "size" in asked:
        text = text.replace("{}", f"{words.SIZE_WORDS[scene.size][0]} {{}}")
    if "place" in asked:
        text += f" {words.PLACE_WORDS[scene.place][0]}"
    if "companion" in asked:
        companion = f"{words.COLOUR_WORDS[scene.companion_colour][0]} {words.NOUNS[scene.companion][0]}"
        article = "an" if companion[0] in "aeio" else "a"
        text += f" {words.COMPANY[scene.companion_side][0].format(x=f'{article} {companion}')}"
    if "background" in asked:
        text += f" {_behind(scene.background, times)}"
    if look.framed:
        text += f", {words.FRAME_WORDS[0]}"
    return text


def _behind(name: str, times: int) -> str:
    phrases = words.ON_COLOUR if name in COLOURS else words.ON_VIEW[name]
    phrase = phrases[times % len(phrases)]
    return phrase.format(b=words.COLOUR_WORDS[name][0]) if name in COLOURS else phrase
