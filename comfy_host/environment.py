# ruff: noqa: T201
"""Gets a ComfyUI and an environment to run it in; standard library only, since nothing is installed yet."""

import ast
import os
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from comfy_host.release import NEWEST, VERSION, fetch, newest_version
from comfy_host.venv import SetupError as SetupError
from comfy_host.venv import imports, interpreter, make_venv, run_pip

REPO = Path(__file__).resolve().parents[1]

CONSTRAINTS = ("torch==2.13.0", "torchvision==0.28.0")
# The host imports it without listing it.
ALSO_NEEDED = ("requests",)
# The last torchvision that still imports beside a torch it was not compiled for (as CPU builds of torch are).
TOLERANT_TORCHVISION = "torchvision==0.16.2"


def host_dir() -> Path:
    """Where everything that gets installed lives; DTI_HOST_DIR moves it."""
    return Path(os.environ.get("DTI_HOST_DIR") or REPO / ".host").resolve()


def declared_packages(array: str) -> list[str]:
    """The packages of an array of pyproject.toml: "dependencies", or an extra's name.

    tomllib comes with Python 3.11; strings, commas and comments, a package a line, read the same in Python.
    """
    text = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{array} = (\[\n.*?^\])", text, re.MULTILINE | re.DOTALL)
    packages: list[str] = ast.literal_eval(found)
    return packages


def comfyui_tree(given: str | None = None) -> Path:
    """ComfyUI's folder: the given one, else the one that DTI_COMFYUI names, else our own, fetched once.

    DTI_COMFYUI_VERSION says which release is fetched: a number, or "newest".
    """
    given = given or os.environ.get("DTI_COMFYUI")
    if given:
        folder = Path(given).expanduser().resolve()
        for tree in (folder, folder / "ComfyUI"):
            if (tree / "main.py").is_file() and (tree / "comfyui_version.py").is_file():
                return tree
        raise SetupError(f"No ComfyUI in {folder}. Name the folder that holds ComfyUI's main.py.")
    version = os.environ.get("DTI_COMFYUI_VERSION") or VERSION
    if version == NEWEST:
        version = newest_version()
    tree = host_dir() / f"comfyui-{version}"
    if not tree.is_dir():
        fetch(tree, version)
    return tree


def comfyui_version(tree: Path) -> str:
    """The version that the tree says it is."""
    text = (tree / "comfyui_version.py").read_text(encoding="utf-8")
    match = re.search(r"__version__ = ['\"]([\w.+-]+)", text)
    if match is None:
        raise SetupError(f"{tree / 'comfyui_version.py'} names no version. Is this folder a ComfyUI?")
    return match.group(1)


def own_environment(tree: Path, *extras: str) -> Path:
    """The interpreter of our virtual environment for this ComfyUI, with these extras of pyproject.toml in it."""
    version = comfyui_version(tree)
    folder = host_dir() / version / "venv"
    wanted = (tree / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted += [*ALSO_NEEDED, *declared_packages("dependencies")]
    if not _is_stamped(folder, "host", wanted):
        print(f"Making an environment for ComfyUI {version} in {folder} (about 2 GB, some minutes)")
        make_venv(folder)
        _install(folder, "ComfyUI's packages", wanted)
        _repair(folder)
        _stamp(folder, "host", wanted)
    for extra in extras:
        _add(folder, extra)
    return interpreter(folder)


def driver_environment() -> Path:
    """The interpreter of an environment without torch, for the demo when the host has its own Python."""
    folder = host_dir() / "driver" / "venv"
    if not interpreter(folder).is_file():
        make_venv(folder)
    _add(folder, "benchmarks")
    return interpreter(folder)


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


def _add(venv: Path, extra: str) -> None:
    wanted = declared_packages(extra)
    if not _is_stamped(venv, extra, wanted):
        _install(venv, f"the packages of {extra}", wanted)
        _stamp(venv, extra, wanted)


def _install(venv: Path, what: str, packages: Sequence[str]) -> None:
    requirements, constraints = venv / "requirements.txt", venv / "constraints.txt"
    requirements.write_text("\n".join(packages), encoding="utf-8")
    constraints.write_text("\n".join(CONSTRAINTS), encoding="utf-8")
    run_pip(venv, f"install {what}", ["install", "-c", str(constraints), "-r", str(requirements)])


def _repair(venv: Path) -> None:
    """Make torchvision and torchaudio importable, which the host demands and CPU builds of torch prevent."""
    python = interpreter(venv)
    if not imports(python, "torchvision"):
        if sys.version_info >= (3, 12):
            raise SetupError(
                f"torchvision does not import beside the torch of your package index, and {TOLERANT_TORCHVISION}, "
                "which does, is for Python 3.10 and 3.11. Run this with one of these, or use --python with an "
                "environment that runs ComfyUI."
            )
        run_pip(venv, f"install {TOLERANT_TORCHVISION}", ["install", "--no-deps", TOLERANT_TORCHVISION])
    if not imports(python, "torchaudio"):
        # Its Python half works alone, but where the compiled half lies beside it, it insists on loading it.
        for package in venv.glob("**/site-packages/torchaudio/lib"):
            shutil.rmtree(package)
    for module in ("torch", "torchvision"):
        if not imports(python, module):
            raise SetupError(f"{module} does not import in {venv}. Use --python with an environment that runs ComfyUI.")


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
