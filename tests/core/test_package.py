"""What `pip install .` installs, and what README shows of it."""

from __future__ import annotations

import math
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import torch

import dti_core

ROOT = Path(__file__).parents[2]
BUILDERS = {"pip": 21, "setuptools": 77}
ISOLATED = "import dti_core.training; print(dti_core.__version__, dti_core.__file__)"


def declared(key: str) -> str:
    (value,) = re.findall(rf'^{key} = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return value


def test_one_version() -> None:
    assert dti_core.__version__ == declared("version")


def test_the_wheel_has_dti_core_alone_and_imports(tmp_path: Path) -> None:
    major = {
        found.name: int(found.version.split(".")[0]) for found in metadata.distributions() if found.name in BUILDERS
    }
    if any(major.get(name, 0) < least for name, least in BUILDERS.items()):
        pytest.skip("needs pip, and setuptools from 77 on: nothing is installed for a build here")
    # A copy, since setuptools builds beside what it reads.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py"):
        shutil.copy(ROOT / name, source)
    for name in ("dti_core", "nodes", "comfy_host", "web"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    packages = {path.name for path in (tmp_path / "installed").iterdir() if path.suffix != ".dist-info"}
    assert packages == {"dti_core"}
    assert (tmp_path / "installed" / "dti_core" / "py.typed").is_file()
    shipped = {path.relative_to(tmp_path / "installed") for path in (tmp_path / "installed" / "dti_core").rglob("*.py")}
    assert shipped == {path.relative_to(ROOT) for path in (ROOT / "dti_core").rglob("*.py")}

    start = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); {ISOLATED}"
    done = subprocess.run([sys.executable, "-I", "-c", start], cwd=tmp_path, check=True, capture_output=True, text=True)
    version, file = done.stdout.strip().split(" ", 1)
    assert version == declared("version")
    assert Path(file).is_relative_to(tmp_path / "installed")


def test_comfyui_manager_installs_what_comfyui_lacks() -> None:
    """It reads requirements.txt only, and without matplotlib the pack does not load."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (array,) = re.findall(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    needed = set(re.findall(r'"(.+?)"', array)) - {"torch", "numpy", "safetensors"}
    assert set((ROOT / "requirements.txt").read_text(encoding="utf-8").split()) == needed


def test_readmes_snippet_for_researchers(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "RiemannianSGD" in block)
    file = tmp_path / "snippet.py"
    file.write_text(snippet, encoding="utf-8")
    table = torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    names = runpy.run_path(str(file), {"torch": torch, "table": table, "token_id": 3})
    v, optimizer = names["v"], names["optimizer"]
    before = v.detach().clone()
    v.grad = torch.randn(v.shape, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    assert torch.acos((before * v).sum()).item() == pytest.approx(math.atan(0.04), rel=1e-3)
