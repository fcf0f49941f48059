# ruff: noqa: T201
"""The demo: learns a word in a real ComfyUI and paints with it; run by run.py in an environment of its own."""

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

from comfy_host.client import Client, Event, HostError
from comfy_host.environment import comfyui_version, host_dir
from comfy_host.graphs import paint, paint_learned, train
from comfy_host.process import SMALL_SDXL, make_base, random_checkpoint, running_host

Picture = NDArray[np.uint8]
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FOLDER = "demo"
PROMPTS = ("a photo of a {} on the beach", "a painting of a {} in the snow", "a photo of a red {} in a city at night")
SEED = 7


@dataclass(frozen=True)
class Scale:
    """How large a run is: a real SDXL's recipe, or what a small model does in a minute on two cores."""

    steps: int
    resolution: int
    size: int
    sampler_steps: int


REAL = Scale(steps=400, resolution=768, size=1024, sampler_steps=25)
SMALL = Scale(steps=60, resolution=128, size=128, sampler_steps=10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--initializer", help="what your pictures show, in an ordinary word", default="cat")
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    try:
        pictures = read_pictures(options.images) if options.images else photographs_of_a_cat()
        demo(options, pictures)
    except (OSError, ValueError, HostError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def demo(options: argparse.Namespace, pictures: Sequence[Picture]) -> None:
    """Start the host, train, paint, and leave one sheet with all of it."""
    base = host_dir() / comfyui_version(options.comfyui) / "demo"
    if options.checkpoint is None:
        scale = SMALL
        # So small a model is no faster on more threads, and far slower where other work disturbs them.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        make_base(base, packs=[SMALL_SDXL])
        checkpoint = base / "models" / "checkpoints" / "small_sdxl_random.safetensors"
        random_checkpoint(options.comfyui, options.python, checkpoint)
        print(
            "No --checkpoint given: this runs everything on a small model with random weights. It shows that the "
            "whole way works on this machine; its pictures are noise. Name an SDXL checkpoint to see your word."
        )
    else:
        scale = REAL
        checkpoint = options.checkpoint
        if not checkpoint.is_file():
            raise FileNotFoundError(f"There is no checkpoint {checkpoint}. Name the file of an SDXL checkpoint.")
        make_base(base, models={"checkpoints": checkpoint.parent})

    with running_host(options.comfyui, options.python, base) as host, Client(host) as client:
        print(f"ComfyUI answers on {host.url}")
        for number, picture in enumerate(pictures, start=1):
            client.add_input(f"{FOLDER}/{number}.png", png(picture))
        sampling: dict[str, Any] = {"seed": SEED, "steps": scale.sampler_steps, "cfg": 6.0, "size": scale.size}
        settings = {
            "name": "demo",
            "if_exists": "replace",
            "initializer": options.initializer,
            "steps": options.steps or scale.steps,
            "resolution": scale.resolution,
        }
        graph = train(checkpoint.name, FOLDER, **settings)
        for number, prompt in enumerate(PROMPTS):
            graph |= paint(prompt.format(options.initializer), tag=f"_plain{number}", **sampling)
            graph |= paint_learned(prompt, tag=f"_learned{number}", **sampling)
        started = time.monotonic()
        run = client.run(graph, on_event=show_progress, timeout=86400)
        plain, learned = (
            [client.images(run, f"picture_{kind}{number}")[0] for number in range(len(PROMPTS))]
            for kind in ("plain", "learned")
        )
        print(f"Learned and painted in {time.monotonic() - started:.0f} s")
        sheet = host_dir() / "demo.png"
        draw_sheet(pictures, plain, learned, options.initializer).save(sheet)
        print(f"The word: {base / 'models' / 'embeddings' / 'demo.safetensors'}\nThe pictures: {sheet}")


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
    """All pictures in a folder, upright. Raises ValueError where there are none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name a folder with 3 to 6 pictures.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder} has no pictures ({', '.join(SUFFIXES)}). Put 3 to 6 of your subject there.")
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


def png(picture: Picture) -> bytes:
    """The file for a picture `[H, W, 3]`."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def draw_sheet(
    references: Sequence[Picture], plain: Sequence[Picture], learned: Sequence[Picture], word: str
) -> Image.Image:
    """Three labelled rows: what was shown, the prompts with the ordinary word, the prompts with the new one."""
    cell, margin, label = 256, 10, 26
    rows = (
        ("the pictures", [""] * len(references), references),
        (f"prompts with '{word}'", [prompt.format(word) for prompt in PROMPTS], plain),
        ("the same prompts with the new word", [prompt.format("<new>") for prompt in PROMPTS], learned),
    )
    width = max(len(pictures) for _, _, pictures in rows) * (cell + margin) + margin
    sheet = Image.new("RGB", (width, len(rows) * (cell + 2 * label + margin) + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (title, captions, pictures) in enumerate(rows):
        top = margin + row * (cell + 2 * label + margin)
        draw.text((margin, top), title, "black", font_size=18)
        for column, (caption, picture) in enumerate(zip(captions, pictures, strict=True)):
            left = margin + column * (cell + margin)
            resized = Image.fromarray(picture).resize((cell, cell), Image.Resampling.LANCZOS)
            sheet.paste(resized, (left, top + label))
            draw.text((left, top + label + cell + 4), caption, "black", font_size=12)
    return sheet


if __name__ == "__main__":
    sys.exit(main())
