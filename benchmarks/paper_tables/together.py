"""Two subjects in one run against each alone: does a prompt with one embedding show the other?

python -m paper_tables.together OUT --comfyui COMFYUI [--pairs N] [--steps N] [--prompts N]
Run it in benchmarks/, in ComfyUI's environment. OUT gets a JSON file and a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dti_pack.dti_core.scoring.intervals import bootstrap
from dti_pack.dti_core.training import TrainingConfig, start_together, train
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES, with_rows
from small_world.drawing import draw
from small_world.sample import Sampling
from small_world.scenes import SIZE, Scene, hidden_on
from small_world.subjects import SUBJECTS, Subject, pictures_of
from torch import Tensor

from .evaluation import score
from .prompts import prompts_for
from .workers import load_world, places_in
from .world import Pictures, World

log = logging.getLogger(__name__)
REPORTING = [subject for subject in SUBJECTS if not subject.chooses]
# Fixed before any result was looked at: neighbours in the list of those that report.
PAIRS = tuple(zip(REPORTING[0::2], REPORTING[1::2], strict=False))
BACKGROUNDS = ("white", "meadow", "bricks", "blue", "purple", "yellow", "black", "red", "pink", "green")
# Of images that show both; {} is the one on the left.
BOTH = (
    "a photo of a {{}} and a {{{0}}}",
    "a picture of a {{}} beside a {{{0}}}",
    "a photo of a {{}} on the left and a {{{0}}} on the right",
)
SEED = 1
ALONE, TOGETHER = "each alone", "together"
WITH_BOTH, ONLY_BOTH = "together, and images that show both", "only images that show both"
Row = dict[str, Any]


@dataclass(frozen=True)
class Pile:
    """Images of one run, each with the name of its own concept and its captions."""

    pictures: Sequence[Pictures]
    owners: Sequence[str]
    captions: Sequence[Sequence[str]]

    def __add__(self, other: Pile) -> Pile:
        return Pile([*self.pictures, *other.pictures], [*self.owners, *other.owners], [*self.captions, *other.captions])


def own_images(subject: Subject) -> Pile:
    """A subject's four, with the usual templates."""
    pictures = list(pictures_of(subject))
    return Pile(pictures, [subject.name] * len(pictures), [OBJECT_TEMPLATES] * len(pictures))


def images_of_both(first: Subject, second: Subject) -> Pile:
    """Four that show both, each of them on the left in two."""
    hidden = first.thing.shown | second.thing.shown
    free = [name for name in BACKGROUNDS if not hidden & set(hidden_on(name))][:2]
    orders = [(background, pair) for background in free for pair in ((first, second), (second, first))]
    pictures = [side_by_side(left, right, background) for background, (left, right) in orders]
    captions = [[caption.format(right.name) for caption in BOTH] for _, (_, right) in orders]
    return Pile(pictures, [left.name for _, (left, _) in orders], captions)


def side_by_side(left: Subject, right: Subject, background: str) -> Pictures:
    """One image `[128, 128, 3]` whose halves are of two drawings on one background."""
    halves = [
        draw(Scene(subject.thing, "small", place, background, seed=3000))
        for subject, place in ((left, "left"), (right, "right"))
    ]
    middle = SIZE // 2
    return np.concatenate([halves[0][:, :middle], halves[1][:, middle:]], axis=1)


def trained(world: World, pile: Pile, subjects: Sequence[Subject], steps: int) -> dict[str, dict[str, Tensor]]:
    """Vectors by subject and encoder key, of one run in which each image passes as often as in a run of four."""
    from dti_pack.nodes.host.training.vae import encode_images

    pixels = [torch.from_numpy(picture.astype(np.float32) / 255) for picture in pile.pictures]
    with torch.inference_mode():
        images = encode_images(world.painter.vae, pixels, SIZE, [tuple(texts) for texts in pile.captions])
    config = TrainingConfig(subjects[0].word, steps=steps, batch_size=len(pixels), seed=SEED)
    # The gradient is that of a mean over the batch, in which a subject has its share: and so has the pull against it.
    config = replace(config, kappa=config.kappa * shown(pile, subjects[0]) / len(pixels))
    with world.session() as (text_encoder, denoiser):
        together = start_together(config, {subject.name: subject.word for subject in subjects}, text_encoder)
        images = [
            replace(image, captions=with_rows(image.captions, own, together.rows))
            for image, own in zip(images, pile.owners, strict=True)
        ]
        return together.split(train(text_encoder, denoiser, images, config, method=together))


def shown(pile: Pile, subject: Subject) -> int:
    """How many images show the subject."""
    called = f"{{{subject.name}}}"
    return sum(subject.name == own or called in texts[0] for own, texts in zip(pile.owners, pile.captions, strict=True))


def scores(
    world: World, subject: Subject, other: Subject, vectors: Mapping[str, Tensor], per_level: int
) -> dict[str, float]:
    """Of images of the subject's prompts: likeness to it and to the other, and text."""
    every = prompts_for(subject)
    prompts = [p for level in range(3) for p in [q for q in every if q.level == level][: per_level or None]]
    pictures = world.paint_vectors([prompt.text for prompt in prompts], vectors, [SEED], Sampling())
    found = score(world.judge, world.trust, subject, prompts, pictures)
    return {
        "image": float(np.mean(found["image"])),
        "other": float(world.judge.likeness(pictures, pictures_of(other)).mean()),
        "text": float(np.mean([value for value in found["text"] if value is not None])),
    }


def measure(world: World, pairs: Sequence[tuple[Subject, Subject]], steps: int, per_level: int) -> Iterator[Row]:
    """A row for each subject and way to train."""
    for first, second in pairs:
        both = [first, second]
        own, of_both = own_images(first) + own_images(second), images_of_both(first, second)
        ways = {
            ALONE: lambda both=both: {s.name: trained(world, own_images(s), [s], steps)[s.name] for s in both},
            TOGETHER: lambda both=both, own=own: trained(world, own, both, steps),
            WITH_BOTH: lambda both=both, own=own, of_both=of_both: trained(world, own + of_both, both, steps),
            ONLY_BOTH: lambda both=both, of_both=of_both: trained(world, of_both, both, steps),
        }
        for way, train_so in ways.items():
            vectors = train_so()
            for subject, other in ((first, second), (second, first)):
                found = scores(world, subject, other, vectors[subject.name], per_level)
                yield {"way": way, "subject": subject.name, "beside": other.name, **found}


def table(rows: Sequence[Row]) -> str:
    """Means over the subjects with their 95 % intervals, and the differences to training alone."""
    lines = [
        "| | image: likeness to its own | likeness to the other | text | other, less alone |",
        "| --- | --- | --- | --- | --- |",
    ]
    alone = {row["subject"]: row for row in rows if row["way"] == ALONE}
    for way in (ALONE, TOGETHER, WITH_BOTH, ONLY_BOTH):
        of_way = [row for row in rows if row["way"] == way]
        cells = [_interval([row[name] for row in of_way]) for name in ("image", "other", "text")]
        more = "" if way == ALONE else _interval([row["other"] - alone[row["subject"]]["other"] for row in of_way])
        lines.append(f"| {way} | {' | '.join(cells)} | {more} |")
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    return str(bootstrap(np.array(values, float).reshape(-1, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--steps", type=int, default=TrainingConfig.steps)
    parser.add_argument("--prompts", type=int, default=0, help="of each level; 0 for all")
    options = parser.parse_args()
    places = places_in(options.out, options.comfyui)
    world, out = load_world(places), places.results
    rows: list[Row] = []
    for row in measure(world, PAIRS[: options.pairs], options.steps, options.prompts):
        rows.append(row)
        log.info("%s", row)
        (out / "together.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (out / "together.md").write_text(table(rows) + "\n", encoding="utf-8")
    log.info("\n%s", table(rows))


if __name__ == "__main__":
    main()
