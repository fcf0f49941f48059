"""Does a background that all training images share leak into prompts, and do masks of the subject keep it out?

python -m paper_tables.mask_leakage OUT --comfyui COMFYUI [--subjects N] [--steps N] [--seeds N] [--cut]
Run it in benchmarks/, in ComfyUI's environment. OUT keeps every result; a second call repeats nothing.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from dti_pack.dti_core.scoring.intervals import Values, bootstrap
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.dti_core.training.masks import BACKGROUND_WEIGHT
from small_world.drawing import draw
from small_world.sample import Sampling
from small_world.scenes import COLOURS, SIZE, VIEWS, Scene, hidden_on
from small_world.subjects import SUBJECTS, Subject, subject_scenes
from torch import Tensor

from .captions import plain_captions
from .evaluation import evaluation_prompts, score
from .methods import learn
from .plan import Examination
from .prompts import Prompt
from .settings import Settings
from .store import Store, digest
from .tables import markdown
from .workers import load_world, places_in
from .world import Pictures, World

log = logging.getLogger(__name__)
CHOOSING = tuple(subject for subject in SUBJECTS if subject.chooses)
# What images count outside their masks; None for no masks.
ARMS: dict[str, float | None] = {
    "no masks": None,
    f"masks, {BACKGROUND_WEIGHT:g} outside": BACKGROUND_WEIGHT,
    "masks, 0 outside": 0.0,
}
CLASS_WORD = "class word"
BASE = "no masks"
AXES = ("other asked", "none asked", "image", "text")


@dataclass(frozen=True)
class Experiment:
    """How much is done: subjects of the choosing half, each with every training seed; how their vectors are tried."""

    subjects: tuple[Subject, ...]
    steps: int
    seeds: tuple[int, ...]
    examination: Examination


def shared_background(subject: Subject) -> str:
    """A view for all images of a subject: another for each subject, and none that hides it."""
    number = SUBJECTS.index(subject)
    order = [VIEWS[(number + offset) % len(VIEWS)] for offset in range(len(VIEWS))]
    return next(name for name in order if not subject.thing.shown & {*hidden_on(name)})


def scenes_before(subject: Subject, background: str) -> list[Scene]:
    """The subject's scenes, all before one background."""
    return [replace(scene, background=background) for scene in subject_scenes(subject)]


def mask_of(scene: Scene) -> npt.NDArray[np.float32]:
    """How much of each pixel the subject covers, [SIZE, SIZE]: where the drawing is the same before black and white."""
    light, dark = (draw(replace(scene, background=name)).astype(np.float32).sum(-1) for name in ("white", "black"))
    bare = sum(COLOURS["white"]) - sum(COLOURS["black"])
    return np.clip(1 - (light - dark) / (0.88 * bare), 0, 1).astype(np.float32)


def prompts_of(subject: Subject, background: str, examination: Examination) -> list[Prompt]:
    """Prompts that ask for another background, or for none, in images that show one."""
    asked = evaluation_prompts(subject, examination)
    return [p for p in asked if p.scene.look.medium != "neon" and p.scene.background != background]


def images_of(world: World, subject: Subject, weight: float | None) -> list[TrainingImage]:
    """Its four images before one background; masked where a weight outside is given."""
    from dti_pack.nodes.host.training.vae import encode_images

    scenes = scenes_before(subject, shared_background(subject))
    pictures = [torch.from_numpy(draw(scene).astype(np.float32) / 255) for scene in scenes]
    masks = [] if weight is None else [torch.from_numpy(mask_of(scene)) for scene in scenes]
    outside = BACKGROUND_WEIGHT if weight is None else weight
    with torch.inference_mode():
        return encode_images(world.painter.vae, pictures, SIZE, plain_captions(subject), masks, outside)


def trained(
    world: World, store: Store, subject: Subject, weight: float | None, steps: int, seed: int
) -> dict[str, Tensor]:
    """DTI's vectors; from the store where they are there."""
    name = digest(["mask_leakage", subject.name, shared_background(subject), weight, steps, seed])
    found = store.training(name)
    if found is not None:
        return found[0][0]
    images = images_of(world, subject, weight)
    with world.session() as (text_encoder, denoiser):
        vectors = learn(text_encoder, denoiser, images, Settings("dti", steps=steps), seed, word=subject.word)
    store.save_training(name, {0: vectors}, {"concept": subject.name, "seed": seed})
    return vectors


def measured(world: World, subject: Subject, prompts: Sequence[Prompt], pictures: Pictures) -> dict[str, float]:
    """By axis: the share of images in which the judge sees the training background, image and text."""
    background = shared_background(subject)
    seen = [row["background"] == background for row in world.judge.read(pictures)]
    asked = ["background" in prompt.wanted for prompt in prompts]
    scores = score(world.judge, world.trust, subject, prompts, pictures)
    return {
        "other asked": _share([leaks for leaks, other in zip(seen, asked, strict=True) if other]),
        "none asked": _share([leaks for leaks, other in zip(seen, asked, strict=True) if not other]),
        "image": float(np.mean(scores["image"])),
        "text": float(np.mean([share for share in scores["text"] if share is not None])),
    }


def run(world: World, store: Store, experiment: Experiment) -> dict[str, dict[str, Values]]:
    """By arm and axis, `[subjects, seeds]`."""
    shape, tried = (len(experiment.subjects), len(experiment.seeds)), vars(experiment.examination)
    found = {arm: {axis: np.full(shape, np.nan) for axis in AXES} for arm in (CLASS_WORD, *ARMS)}
    for row, subject in enumerate(experiment.subjects):
        prompts = prompts_of(subject, shared_background(subject), experiment.examination)
        for column, seed in enumerate(experiment.seeds):
            for arm in found:
                name = digest(["mask_leakage", asdict(subject), arm, experiment.steps, seed, tried])
                values = store.score(name)
                if values is None:
                    pictures = _paint(world, store, subject, prompts, arm, seed, experiment)
                    values = measured(world, subject, prompts, pictures)
                    store.save_score(name, values)
                    log.info("%s, %s, seed %d: %s", subject.name, arm, seed, _line(values))
                for axis in AXES:
                    found[arm][axis][row, column] = values[axis]
    return found


def report(found: dict[str, dict[str, Values]], experiment: Experiment) -> str:
    """Means with 95 % intervals over subjects and seeds, then the differences to training without masks."""
    names = ", ".join(f"{subject.name} ({shared_background(subject)})" for subject in experiment.subjects)
    header = ["", *(f"training background, {axis}" for axis in AXES[:2]), *(axis.capitalize() for axis in AXES[2:])]
    means = [[arm, *(bootstrap(values[axis]) for axis in AXES)] for arm, values in found.items()]
    less = [
        [f"{arm} - {BASE}", *(bootstrap(found[arm][axis] - found[BASE][axis]) for axis in AXES)]
        for arm in ARMS
        if arm != BASE
    ]
    said = (
        f"DTI, {experiment.steps} steps, {len(experiment.seeds)} training seed(s); all four images of a subject before "
        f"one background: {names}.\n"
    )
    return "\n".join([said, markdown([*means, *less], header), ""])


def _paint(
    world: World, store: Store, subject: Subject, prompts: Sequence[Prompt], arm: str, seed: int, experiment: Experiment
) -> Pictures:
    examination = experiment.examination
    how = Sampling(steps=examination.steps, guidance=examination.guidance)
    texts, seeds = [prompt.text for prompt in prompts], [examination.sampling_seed]
    if arm == CLASS_WORD:
        return world.paint_word(texts, subject.word, seeds, how)
    vectors = trained(world, store, subject, ARMS[arm], experiment.steps, seed)
    return world.paint_vectors(texts, vectors, seeds, how)


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else float("nan")


def _line(values: dict[str, Any]) -> str:
    return ", ".join(f"{axis} {value:.3f}" for axis, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--subjects", type=int, default=4, help="of the choosing half")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1, help="training seeds")
    parser.add_argument("--cut", action="store_true", help="one subject, four steps: does everything run?")
    options = parser.parse_args()
    seeds = tuple(range(1, options.seeds + 1))
    experiment = Experiment(CHOOSING[: options.subjects], options.steps, seeds, Examination())
    if options.cut:
        experiment = Experiment(CHOOSING[:1], 4, (1,), Examination(prompts_per_level=6, steps=4))
    places = places_in(options.out, options.comfyui)
    text = report(run(load_world(places), Store(places.results), experiment), experiment)
    file = places.results / "mask_leakage.md"
    file.write_text(text, encoding="utf-8")
    log.info("Wrote %s:\n%s", file, text)


if __name__ == "__main__":
    main()
