"""README's first command, with a few steps: from the repository's weights to the sheet of images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.demo import read_pictures
from comfy_host.environment import REPO, comfyui_tree, comfyui_version, given_interpreter


def test_pictures_from_a_phone_are_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "phone.jpg", exif=exif)
    assert read_pictures(tmp_path)[0].shape == (30, 20, 3)


def test_the_demo_learns_twice_and_leaves_a_sheet(tmp_path: Path) -> None:
    tree, python = comfyui_tree(), given_interpreter() or Path(sys.executable)
    command = [sys.executable, "-m", "benchmarks.demo", "--comfyui", str(tree), "--python", str(python), "--steps", "8"]
    done = subprocess.run(
        command, cwd=REPO, env=os.environ | {"DTI_HOST_DIR": str(tmp_path)}, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "train: 8 of 8" in done.stdout
    sheet = np.asarray(Image.open(tmp_path / "demo.png"))
    assert sheet.shape[0] > 5 * 192 and sheet.shape[1] > 5 * 192
    # A row of the images and four of what was generated, not of white paper.
    assert all((row < 230).mean() > 0.3 for row in np.array_split(sheet, 5))
    words = tmp_path / comfyui_version(tree) / "demo" / "models" / "embeddings"
    assert {"demo.safetensors", "demo_ti.safetensors"} <= {file.name for file in words.iterdir()}
    assert not list(words.glob("*.log"))
