# ruff: noqa: T201
"""What DTI Train gives under the flags that people start ComfyUI with, beside what it gives without.

    python -m benchmarks.host_flags [--only=FLAGS,...] [--page docs/host_flags.md]

in the repository's folder, with the Python of an environment for ComfyUI; DTI_COMFYUI and DTI_PYTHON choose which
(CONTRIBUTING.md). Starts a host for each flag, trains a little on the small world, generates through stock nodes, and
brings the page up to date: a section for each version of ComfyUI, in it a row for each flag.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.demo import png
from benchmarks.small_checkpoints import SMALL_SDXL, small_world
from benchmarks.small_world.subjects import SUBJECTS, pictures_of
from comfy_host.client import Client, HostError
from comfy_host.environment import REPO, SetupError, comfyui_tree, comfyui_version, given_interpreter
from comfy_host.graphs import Graph, paint_learned, text_to_image, train
from comfy_host.process import Host, has_accelerator, make_base, running_host

PAGE = REPO / "docs" / "host_flags.md"
FLAGS = (
    "--fp32-unet",
    "--fp16-unet",
    "--bf16-unet",
    "--fp8_e4m3fn-unet",
    "--fp8_e5m2-unet",
    "--force-fp16",
    "--fp8_e4m3fn-text-enc",
    "--fp16-text-enc",
    "--bf16-text-enc",
    "--bf16-vae",
    "--use-split-cross-attention",
    "--use-quad-cross-attention",
    "--use-pytorch-cross-attention",
    "--use-sage-attention",
    "--force-channels-last",
    "--cache-none",
    "--cache-lru 2",
    "--fast",
    "--fast --supports-fp8-compute --fp8_e4m3fn-unet",
    "--fp16-intermediates",
    "--lowvram",
    "--novram",
    "--highvram",
    "--gpu-only",
)
SUBJECT = SUBJECTS[0]
RECIPE = {
    "initializer": SUBJECT.word,
    "steps": 8,
    "batch_size": 2,
    "resolution": 64,
    "save_every": 0,
    "resume": "never",
    "if_exists": "replace",
}
SAMPLING = {"steps": 2, "seed": 5}
PROMPT = "a photo of a {} on the beach"
Picture = NDArray[np.uint8]
Vectors = dict[str, Tensor]  # by encoder key


@dataclass(frozen=True)
class Outcome:
    """vectors: of the trained embedding. word, concept: images of PROMPT with the class word and with the embedding.

    repeats: whether a second training gave the same bits. kept: whether the host then drew the word as before.
    """

    vectors: Vectors
    word: Picture
    concept: Picture
    repeats: bool
    kept: bool


def outcome(client: Client, checkpoint: str) -> Outcome:
    """Two trainings between two generations, and an image with the first."""
    before = _picture(client, text_to_image(checkpoint, PROMPT.format(SUBJECT.word), **SAMPLING))
    graph = train(checkpoint, "subject", **RECIPE, name="concept") | paint_learned(PROMPT, **SAMPLING)
    concept = _picture(client, graph)
    vectors = _vectors(client, "concept")
    again = trained(client, checkpoint, "again")
    after = _picture(client, text_to_image(checkpoint, PROMPT.format(SUBJECT.word), **SAMPLING))
    return Outcome(vectors, before, concept, _same(vectors, again), bool((before == after).all()))


def trained(client: Client, checkpoint: str, name: str, **settings: object) -> Vectors:
    """The vectors of a training by RECIPE."""
    client.run(train(checkpoint, "subject", **{**RECIPE, "name": name, **settings}))
    return _vectors(client, name)


def angle(a: Vectors, b: Vectors) -> float:
    """The largest angle between two embeddings, over their encoders, in degrees."""
    # By both chords: the arc cosine has no digits left for small angles.
    units = [[torch.nn.functional.normalize(v[key].double(), dim=-1) for v in (a, b)] for key in a]
    return max(float(2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1)).rad2deg().max()) for x, y in units)


def row(flag: str, found: Outcome, plain: Outcome) -> str:
    """A line of the table."""
    differences = [_far(found.word, plain.word), _far(found.concept, plain.concept)]
    turned = "same bits" if _same(found.vectors, plain.vectors) else f"{angle(found.vectors, plain.vectors):.2g} deg"
    notes = [] if found.repeats else ["a second training gave other bits"]
    notes += [] if found.kept else ["**the host drew another image afterwards**"]
    return f"| `{flag}` | {turned} | {differences[1]} | {differences[0]} | {'; '.join(notes)} |"


def failure(flag: str, said: str) -> str:
    """A line on what did not come to a result."""
    return f"| `{flag}` | - | - | - | {' '.join(said.replace('|', '/').split())} |"


def measure(tree: Path, python: Path, flags: Sequence[str], base: Path) -> list[str]:
    """The lines of the table, for a host on this base folder."""
    make_base(base, packs=[SMALL_SDXL])
    checkpoint = small_world(tree, python, base / "models" / "checkpoints").name
    for number, picture in enumerate(pictures_of(SUBJECT), start=1):
        path = base / "input" / "subject" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(picture))
    with _started(tree, python, base) as host, Client(host) as client:
        plain = outcome(client, checkpoint)
        start = trained(client, checkpoint, "start", steps=1, learning_rate=0.0001)
        other = trained(client, checkpoint, "other", seed=1)
    lines = [
        f"Training turned the embedding by {angle(plain.vectors, start):.3g} degrees, and with another seed it ends "
        f"{angle(plain.vectors, other):.3g} degrees away.",
        "",
        "| flag | the embedding, from that without flags | an image with it | an image without it | |",
        "| --- | --- | --- | --- | --- |",
        row("(none)", plain, plain),
    ]
    print("\n".join(lines), flush=True)
    for flag in flags:
        try:
            with _started(tree, python, base, *flag.split()) as host, Client(host) as client:
                lines.append(row(flag, outcome(client, checkpoint), plain))
        except SetupError as error:
            lines.append(failure(flag, f"the host does not start: {_reason(str(error))}"))
        except HostError as error:
            lines.append(failure(flag, str(error)))
        print(lines[-1], flush=True)
    return lines


def written(page: str, title: str, lines: Sequence[str]) -> str:
    """The page with the section of that title brought up to date: rows of flags that are not in `lines` stay."""
    head, *sections = page.rstrip().split("\n## ")
    by_title = {section.split("\n", 1)[0]: section for section in sections}
    flags = {line.split("|")[1] for line in lines if line.startswith("| `")}
    stay = [line for line in by_title.get(title, "").splitlines() if line.startswith("| `")]
    by_title[title] = "\n".join([title, "", *lines, *(line for line in stay if line.split("|")[1] not in flags)])
    return "\n\n## ".join([head.rstrip(), *(section.strip() for section in by_title.values())]) + "\n"


def _started(tree: Path, python: Path, base: Path, *flags: str) -> AbstractContextManager[Host]:
    # The nodes of paid services take a third of a start.
    return running_host(tree, python, base, ["--disable-api-nodes", *flags])


def _picture(client: Client, graph: Graph) -> Picture:
    return client.images(client.run(graph), "picture")[0]


def _vectors(client: Client, name: str) -> Vectors:
    return load_file(client.host.base / "models" / "embeddings" / f"{name}.safetensors")


def _same(a: Vectors, b: Vectors) -> bool:
    return all(torch.equal(a[key], rows) for key, rows in b.items())


def _far(a: Picture, b: Picture) -> str:
    return "same bits" if (a == b).all() else f"{np.abs(a.astype(float) - b).mean():.2g} of 255"


def _reason(error: str) -> str:
    """The last line of the host's log that says something."""
    return [line for line in error.splitlines() if line.strip()][-1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="FLAGS,...", help="in place of all, separated by commas")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tree, python = comfyui_tree(), given_interpreter() or Path(sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(tree, python, options.only.split(",") if options.only else FLAGS, Path(folder))
    device = "a GPU" if has_accelerator(python) else "a CPU"
    title = f"ComfyUI {comfyui_version(tree)} on {device}"
    options.page.write_text(written(options.page.read_text(encoding="utf-8"), title, lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
