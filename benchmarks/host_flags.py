# ruff: noqa: T201
"""What DTI Train gives under the flags that people start ComfyUI with, beside what it gives without.

    python -m benchmarks.host_flags [--only=FLAGS,...] [--page docs/host_flags.md]

in the repository's folder, with the Python of an environment for ComfyUI; DTI_COMFYUI and DTI_PYTHON choose which
(CONTRIBUTING.md). Starts a host for each flag, trains a little on the small world, generates through stock nodes, and
brings the page up to date: a section for each version of ComfyUI, in it a row for each flag.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.small_host import SUBJECT, SmallHost, Vectors, make_small_host
from comfy_host.client import Client, HostError
from comfy_host.environment import REPO, SetupError
from comfy_host.graphs import Graph, paint_learned, text_to_image
from comfy_host.process import has_accelerator

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
RECIPE = {
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


def outcome(host: SmallHost, client: Client) -> Outcome:
    """Two trainings between two generations, and an image with the first."""
    word = text_to_image(host.checkpoint, PROMPT.format(SUBJECT.word), **SAMPLING)
    before = _picture(client, word)
    concept = _picture(client, host.training("concept", **RECIPE) | paint_learned(PROMPT, **SAMPLING))
    vectors = host.vectors("concept")
    again = trained(host, client, "again")
    after = _picture(client, word)
    return Outcome(vectors, before, concept, _same(vectors, again), bool((before == after).all()))


def trained(host: SmallHost, client: Client, name: str, **settings: object) -> Vectors:
    """The vectors of a training by RECIPE."""
    client.run(host.training(name, **{**RECIPE, **settings}))
    return host.vectors(name)


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


def measure(host: SmallHost, flags: Sequence[str]) -> list[str]:
    """The lines of the table."""
    with host.started() as client:
        plain = outcome(host, client)
        start = trained(host, client, "start", steps=1, learning_rate=0.0001)
        other = trained(host, client, "other", seed=1)
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
            with host.started(*flag.split()) as client:
                lines.append(row(flag, outcome(host, client), plain))
        except SetupError as error:
            # A page has no use for where this machine keeps things.
            said = _reason(str(error)).replace(str(host.python), "python")
            lines.append(failure(flag, f"the host does not start: {said}"))
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


def _picture(client: Client, graph: Graph) -> Picture:
    return client.images(client.run(graph), "picture")[0]


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
    with tempfile.TemporaryDirectory() as folder:
        host = make_small_host(Path(folder))
        lines = measure(host, options.only.split(",") if options.only else FLAGS)
    device = "a GPU" if has_accelerator(host.python) else "a CPU"
    title = f"ComfyUI {host.version} on {device}"
    options.page.write_text(written(options.page.read_text(encoding="utf-8"), title, lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
