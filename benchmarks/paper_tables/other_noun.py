"""DTI from a noun that is not what the images show: how much does the initializer matter?

python -m paper_tables.other_noun OUT --comfyui COMFYUI [--subjects N]
Run it in benchmarks/, in ComfyUI's environment. OUT keeps what is trained; the class word's comes from results.zip.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from dti_pack.dti_core.scoring.intervals import Values, bootstrap
from small_world.subjects import SUBJECTS, Subject
from small_world.words import NOUNS
from torch import Tensor

from . import archive
from .evaluation import paint, score
from .main_tables import table_2
from .methods import learn
from .plan import WHOLE
from .results import AXES, Results
from .settings import Settings
from .store import Store, digest
from .tables import markdown
from .workers import load_world, places_in
from .world import World

log = logging.getLogger(__name__)
REPORTING = tuple(subject for subject in SUBJECTS if not subject.chooses)
SEED = 1


def other_noun(subject: Subject) -> str:
    """The first word for the next shape in the world's list; fixed before any result was looked at."""
    shapes = list(NOUNS)
    return NOUNS[shapes[(shapes.index(subject.thing.shape) + 1) % len(shapes)]][0]


def trained(world: World, store: Store, subject: Subject, settings: Settings) -> dict[str, Tensor]:
    """Vectors whose start and prior are the other noun; from the store where they are there."""
    name = digest(["other_noun", subject.name, other_noun(subject), settings.steps, SEED])
    found = store.training(name)
    if found is not None:
        return found[0][0]
    images = world.images(subject, surroundings=False)
    with world.session() as (text_encoder, denoiser):
        vectors = learn(text_encoder, denoiser, images, settings, SEED, word=other_noun(subject))
    store.save_training(name, {0: vectors}, {"concept": subject.name, "seed": SEED})
    return vectors


def run(world: World, store: Store, subjects: Sequence[Subject]) -> dict[str, Values]:
    """By axis, [subjects, sampling seeds]."""
    settings = WHOLE.of("dti")
    shape = (len(subjects), WHOLE.sampling_seeds)
    found = {axis: np.full(shape, np.nan) for axis in AXES}
    for row, subject in enumerate(subjects):
        vectors = trained(world, store, subject, settings)
        for column in range(WHOLE.sampling_seeds):
            examination = replace(WHOLE.examination, sampling_seed=column)
            prompts, pictures = paint(world, subject, settings, vectors, examination)
            scores = score(world.judge, world.trust, subject, prompts, pictures)
            for axis in AXES:
                found[axis][row, column] = np.mean([value for value in scores[axis] if value is not None])
        log.info("%s from %s: %s", subject.name, other_noun(subject), {axis: found[axis][row] for axis in AXES})
    return found


def report(found: Mapping[str, Values], subjects: Sequence[Subject], results: Results) -> str:
    """The two starts, and the difference subject by subject; intervals over subjects."""
    table = replace(table_2(WHOLE), seeds=(SEED,), concepts=tuple(subject.name for subject in subjects))
    base = {axis: results.values(table, table.row("DTI"), axis) for axis in AXES}
    own = {axis: found[axis].mean(1, keepdims=True) for axis in AXES}
    lines: list[list[object]] = [
        ["class word", *(bootstrap(base[axis]) for axis in AXES)],
        ["another noun", *(bootstrap(own[axis]) for axis in AXES)],
        ["another noun - class word", *(bootstrap(own[axis] - base[axis]) for axis in AXES)],
    ]
    names = ", ".join(f"{subject.name} from {other_noun(subject)}" for subject in subjects)
    return f"DTI, {WHOLE.steps} steps, training seed {SEED}: {names}.\n\n{markdown(lines, ['start', 'Image', 'Text'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--subjects", type=int, default=len(REPORTING), help="of those that report")
    options = parser.parse_args()
    places = places_in(options.out, options.comfyui)
    archive.unpack(options.out)
    store = Store(places.results)
    subjects = REPORTING[: options.subjects]
    text = report(run(load_world(places), store, subjects), subjects, Results(store))
    (places.results / "other_noun.md").write_text(text + "\n", encoding="utf-8")
    log.info("\n%s", text)


if __name__ == "__main__":
    main()
