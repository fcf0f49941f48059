"""What is said of the pictures in training, in words that the small world knows."""

from __future__ import annotations

from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES, STYLE_TEMPLATES
from small_world import words
from small_world.scenes import COLOURS, Scene
from small_world.subjects import Style, Subject, scenes_of

Captions = tuple[tuple[str, ...], ...]


def plain_captions(concept: Subject | Style) -> Captions:
    """For every picture of the concept, the reference's templates."""
    templates = OBJECT_TEMPLATES if isinstance(concept, Subject) else STYLE_TEMPLATES
    return (templates,) * len(scenes_of(concept))


def captions_with_surroundings(concept: Subject | Style) -> Captions:
    """For every picture, captions that also name what is not the concept."""
    tell = _around_subject if isinstance(concept, Subject) else _around_style
    return tuple(tell(scene) for scene in scenes_of(concept))


def _around_subject(scene: Scene) -> tuple[str, ...]:
    thing = "{}" if scene.size == "medium" else f"{words.SIZE_WORDS[scene.size][0]} {{}}"
    where = "" if scene.place == "center" else f" {words.PLACE_WORDS[scene.place][0]}"
    leads = ("a photo of a", "a picture of the", "a rendering of a", "the image of my")
    return tuple(f"{lead} {thing}{where} {behind}" for lead in leads for behind in _backgrounds(scene.background))


def _around_style(scene: Scene) -> tuple[str, ...]:
    thing = words.NOUNS[scene.thing.shape][0]
    leads = ("a photo of a", "a picture of the", "a painting of a")
    return tuple(f"{lead} {thing} in the style of {{}}" for lead in leads)


def _backgrounds(name: str) -> tuple[str, ...]:
    if name in COLOURS:
        return tuple(phrase.format(b=words.COLOUR_WORDS[name][0]) for phrase in words.ON_COLOUR[:3])
    return words.ON_VIEW[name][:3]
