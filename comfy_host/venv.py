# ruff: noqa: T201
"""Virtual environments, and the pip in them; standard library only."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class SetupError(Exception):
    """Setting up failed; the message says what to do."""


def interpreter(venv: Path) -> Path:
    """The Python of that environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(folder: Path) -> None:
    """Make an empty environment there, whatever the folder held."""
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


def run_pip(venv: Path, what: str, arguments: Sequence[str]) -> None:
    """Run that environment's pip. Raises SetupError when it fails, after its output has been shown."""
    print(f"  {what} ...", end=" ", flush=True)
    start = time.monotonic()
    result = subprocess.run(
        [str(interpreter(venv)), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments],
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


def imports(python: Path, module: str) -> bool:
    """Whether that Python can import the module."""
    return subprocess.run([str(python), "-W", "ignore", "-c", f"import {module}"], capture_output=True).returncode == 0
