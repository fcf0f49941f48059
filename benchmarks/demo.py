# ruff: noqa: T201
"""The demo: trains an embedding in a real ComfyUI and generates with it; run by run.py in an environment of its own."""

import argparse
import io
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from skimage import data

from benchmarks.small_checkpoints import SMALL_SDXL, learning_by_inversion, small_world
from benchmarks.small_world.subjects import SUBJECTS, pictures_of
from comfy_host.checkpoint_file import check_sdxl
from comfy_host.client import Client, Event, HostError
from comfy_host.environment import SetupError, comfyui_version, host_dir
from comfy_host.graphs import Graph, node, paint, text_to_image, train
from comfy_host.process import Host, make_base, running_host

Picture = NDArray[np.uint8]
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FOLDER = "demo"
SEED = 7
RESCALED = "the trigger of the rescaled embedding"


@dataclass(frozen=True)
class Scale:
    """How large a run is, and what is generated: a real SDXL's recipe, or what the small world takes on two cores."""

    resolution: int
    size: int
    sampler_steps: int
    cfg: float
    prompts: tuple[str, ...]


REAL = Scale(
    resolution=768,
    size=1024,
    sampler_steps=25,
    cfg=6.0,
    prompts=(
        "a photo of a {} on the beach",
        "a painting of a {} in the snow",
        "a photo of a red {} in a city at night",
    ),
)
SMALL = Scale(
    resolution=128,
    size=128,
    sampler_steps=20,
    cfg=4.0,
    # Every ninth of the forty prompts of paper_tables for this subject, from the first.
    prompts=(
        "a photo of a {} on the beach",
        "a photo of a {} with a red square on its left",
        "a photo of a large {} on a pink background",
        "a photo of a small {} on the left with a beach in the background",
        "a photo of a small {} on the left with a white circle on its right with waves in the background",
    ),
)
# Of the subjects that choose settings the median by DTI's difference to TI in text: the table's middle column, by a
# rule that was fixed before any sheet was looked at.
SUBJECT = next(subject for subject in SUBJECTS if subject.name == "pansy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--initializer", help="an ordinary word for what your images show", default="cat")
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    try:
        if options.checkpoint is None:
            in_the_small_world(options)
        else:
            on_own_checkpoint(options)
    except (OSError, ValueError, HostError, SetupError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def in_the_small_world(options: argparse.Namespace) -> None:
    """Train a drawn subject on the model of benchmarks/small_world, with Textual Inversion beside it."""
    if options.images is not None:
        raise ValueError("Images of your own need a model that knows such things: add --checkpoint FILE, an SDXL.")
    # So small a model is no faster on more threads, and far slower where other work disturbs them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    base = _base(options.comfyui)
    make_base(base, packs=[SMALL_SDXL])
    checkpoint = small_world(options.comfyui, options.python, base / "models" / "checkpoints")
    print(
        f"No --checkpoint given: this trains '{SUBJECT.name}', a {SUBJECT.word}, on the small world, an SDXL in "
        "miniature that knows simple drawings. Textual Inversion trains on it at the same time, to compare."
    )
    pictures = list(pictures_of(SUBJECT))
    started = time.monotonic()
    with running_host(options.comfyui, options.python, base) as host, Client(host) as client:
        _give(client, pictures)
        old = base / "models" / "embeddings" / "demo_ti.safetensors"
        inversion = learning_by_inversion(
            options.comfyui, options.python, checkpoint, base / "input" / FOLDER, old, SUBJECT.word, options.steps
        )
        with inversion:
            _learn(host, client, checkpoint.name, SMALL, SUBJECT.word, options.steps)
        words = {
            f"the word '{SUBJECT.word}'": SUBJECT.word,
            "Textual Inversion": "embedding:demo_ti",
            "Textual Inversion, rescaled": RESCALED,
            "Directional Textual Inversion": "embedding:demo",
        }
        rows = _paint(client, checkpoint.name, SMALL, words)
    print(f"Trained twice and generated in {time.monotonic() - started:.0f} s")
    _leave(base, pictures, SMALL, rows)


def on_own_checkpoint(options: argparse.Namespace) -> None:
    """Train an embedding from the given images, or those of a cat, on the given checkpoint."""
    check_sdxl(options.checkpoint)
    pictures = read_pictures(options.images) if options.images else photographs_of_a_cat()
    base = _base(options.comfyui)
    make_base(base, models={"checkpoints": options.checkpoint.parent})
    with running_host(options.comfyui, options.python, base) as host, Client(host) as client:
        _give(client, pictures)
        _learn(host, client, options.checkpoint.name, REAL, options.initializer, options.steps)
        words = {f"the word '{options.initializer}'": options.initializer, "the embedding": "embedding:demo"}
        rows = _paint(client, options.checkpoint.name, REAL, words)
    _leave(base, pictures, REAL, rows)


def _base(comfyui: Path) -> Path:
    return host_dir() / comfyui_version(comfyui) / "demo"


def _give(client: Client, pictures: Sequence[Picture]) -> None:
    """Put the images into the host's input folder."""
    for number, picture in enumerate(pictures, start=1):
        client.add_input(f"{FOLDER}/{number}.png", png(picture))


def _learn(host: Host, client: Client, checkpoint: str, scale: Scale, word: str, steps: int) -> None:
    print(f"ComfyUI answers on {host.url} and trains")
    settings = {"name": "demo", "if_exists": "replace", "initializer": word, "steps": steps}
    graph = train(checkpoint, FOLDER, **settings, resolution=scale.resolution)
    client.run(graph, on_event=show_progress, timeout=86400)


def _paint(client: Client, checkpoint: str, scale: Scale, words: dict[str, str]) -> dict[str, list[Picture]]:
    """By label, an image of every prompt with that word or embedding; the same seed for all."""
    sampling: dict[str, Any] = {"seed": SEED, "steps": scale.sampler_steps, "cfg": scale.cfg, "size": scale.size}
    tags = {(label, prompt): f"_{i}_{j}" for i, label in enumerate(words) for j, prompt in enumerate(scale.prompts)}
    graph: Graph = {}
    for (label, prompt), tag in tags.items():
        text = prompt.format(words[label])
        graph |= paint(text, tag=tag, **sampling) if graph else text_to_image(checkpoint, text, tag=tag, **sampling)
        if words[label] == RESCALED:
            graph |= _rescaled(prompt, tag)
            graph[f"positive{tag}"]["inputs"] |= {"clip": ["rescaled", 1], "text": [f"prompt{tag}", 0]}
    run = client.run(graph, on_event=show_progress, timeout=86400)
    return {
        label: [client.images(run, f"picture{tags[label, prompt]}")[0] for prompt in scale.prompts] for label in words
    }


def _rescaled(prompt: str, tag: str) -> Graph:
    """The embedding of Textual Inversion brought to the norm of ordinary words, and a prompt with its trigger."""
    return {
        "inversion": node("DTI_LoadEmbedding", embedding="demo_ti.safetensors"),
        "rescaled": node(
            "DTI_Rescale", embedding=["inversion", 0], clip=["checkpoint", 1], magnitude="mean", factor=1.0
        ),
        f"prompt{tag}": node("StringReplace", string=prompt, find="{}", replace=["rescaled", 2]),
    }


def _leave(base: Path, pictures: Sequence[Picture], scale: Scale, rows: dict[str, list[Picture]]) -> None:
    sheet = host_dir() / "demo.png"
    draw_sheet(pictures, scale.prompts, rows).save(sheet)
    print(f"The embedding: {base / 'models' / 'embeddings' / 'demo.safetensors'}\nThe images: {sheet}")


def show_progress(event: Event) -> None:
    """One line that counts up while a node works."""
    if event["type"] == "progress":
        values = event["data"]
        done = values["value"] == values["max"]
        if done or sys.stdout.isatty():
            print(f"  {values['node']}: {values['value']} of {values['max']}", end="\n" if done else "\r", flush=True)


def photographs_of_a_cat() -> list[Picture]:
    """Four views of the one cat that scikit-image carries."""
    cat: Picture = data.chelsea()
    return [cat[0:300, 75:375], cat[0:250, 100:350], cat[40:260, 120:340][:, ::-1], cat[20:290, 60:330]]


def read_pictures(folder: Path) -> list[Picture]:
    """All images in a folder, upright. Raises ValueError where there are none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name a folder with 3 to 6 images.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder} has no images ({', '.join(SUFFIXES)}). Put 3 to 6 of your subject there.")
    return [np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB")) for file in files]


def png(picture: Picture) -> bytes:
    """The file for an image `[H, W, 3]`."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def draw_sheet(
    references: Sequence[Picture], prompts: Sequence[str], rows: dict[str, list[Picture]]
) -> Image.Image:
    """The training images above; below, a row per embedding with its label on the left and a column per prompt."""
    cell, gap, left, head = 192, 8, 190, 84
    columns = max(len(references), len(prompts))
    width = left + columns * (cell + gap) + gap
    height = gap + (cell + gap) + head + len(rows) * (cell + gap)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    named = {f"{len(references)} training images": list(references), **rows}
    for row, (title, pictures) in enumerate(named.items()):
        top = gap + row * (cell + gap) + (head if row else 0)
        draw.multiline_text((gap, top + cell // 2 - 22), wrapped(title, 18), "black", font_size=18)
        for column, picture in enumerate(pictures):
            x = left + column * (cell + gap)
            if row == 1:
                text = wrapped(prompts[column].format("..."), 26)
                draw.multiline_text((x, top - head + 6), text, "black", font_size=14)
            sheet.paste(Image.fromarray(picture).resize((cell, cell), Image.Resampling.LANCZOS), (x, top))
    return sheet


def wrapped(text: str, width: int) -> str:
    """In lines of that many letters at most."""
    return "\n".join(textwrap.wrap(text, width))


if __name__ == "__main__":
    sys.exit(main())
