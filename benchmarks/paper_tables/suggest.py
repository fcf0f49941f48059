"""Suggest Initializer's ranking on the small world's subjects: where does the class word stand among all its nouns?

python -m paper_tables.suggest OUT --comfyui COMFYUI [--samples N]
Run it in benchmarks/, in ComfyUI's environment. OUT gets the losses as JSON and a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dti_pack.dti_core.training.evaluation_set import SIZE, EvaluationSet
from dti_pack.dti_core.training.word_ranking import ranked
from small_world.subjects import SUBJECTS, Subject
from small_world.words import NOUNS
from torch import Tensor

from .tables import markdown
from .workers import load_world, places_in
from .world import World

log = logging.getLogger(__name__)
WORDS = tuple(dict.fromkeys(word for words in NOUNS.values() for word in words))


def losses_of(world: World, subject: Subject, samples: int) -> dict[str, Tensor]:
    """By noun, `[samples]`, on the subject's four images."""
    images = world.images(subject, surroundings=False)
    with world.session() as (text_encoder, denoiser):
        measured = EvaluationSet(text_encoder, denoiser, images, samples)
        return {word: measured.losses(world.word_vectors(word)) for word in WORDS}


def table(found: Mapping[Subject, Mapping[str, Tensor]]) -> str:
    """A line for each subject: the best noun, and where its class word stands."""
    lines, ranks = [], []
    for subject, losses in found.items():
        words = ranked(losses)
        ranks.append([one.word for one in words].index(subject.word) + 1)
        own, best = words[ranks[-1] - 1], words[0]
        above = f"{100 * own.above / best.loss:.2f} (+/- {100 * own.spread / best.loss:.2f})"
        near = [one.word for one in words[1:] if not one.is_apart]
        lines.append([subject.name, subject.word, best.word, ranks[-1], above, ", ".join(near)])
    header = ["", "class word", "lowest loss", "rank of the class word", "its loss above that, %", "not told apart"]
    firsts = f"Of {len(WORDS)} nouns the class word is first for {ranks.count(1)} of {len(ranks)} subjects."
    return f"{markdown(lines, header)}\n\n{firsts} {_with_fewer(found)}"


def _with_fewer(found: Mapping[Subject, Mapping[str, Tensor]]) -> str:
    """How often the lowest loss is that of a word for the subject's shape, on parts of the noisy images."""
    said = []
    for parts in (1, 4, 12):
        hits = [
            min(losses, key=lambda word: float(losses[word][part::parts].mean())) in NOUNS[subject.thing.shape]
            for subject, losses in found.items()
            for part in range(parts)
        ]
        samples = len(next(iter(next(iter(found.values())).values()))) // parts
        said.append(f"on {samples} noisy images {sum(hits)} times of {len(hits)}")
    return f"The lowest loss is that of a word for its shape: {', '.join(said)}."


def measure(world: World, subjects: Sequence[Subject], samples: int) -> dict[Subject, dict[str, Tensor]]:
    return {subject: losses_of(world, subject, samples) for subject in subjects}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--samples", type=int, default=SIZE, help="noisy copies of the images")
    options = parser.parse_args()
    places = places_in(options.out, options.comfyui)
    found = measure(load_world(places), SUBJECTS, options.samples)
    rows = {one.name: {word: own.tolist() for word, own in losses.items()} for one, losses in found.items()}
    (places.results / "suggest.json").write_text(json.dumps(rows), encoding="utf-8")
    (places.results / "suggest.md").write_text(table(found) + "\n", encoding="utf-8")
    log.info("\n%s", table(found))


if __name__ == "__main__":
    main()
