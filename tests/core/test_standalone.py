"""dti_core is a library of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "dti_core").rglob("*.py"))
ALLOWED = {"dti_core", "torch", "numpy", "safetensors", *sys.stdlib_module_names}

IMPORT_ALL = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"comfy", "comfy_api", "nodes", "folder_paths", "server", "execution", "diffusers",
                                  "transformers"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def imported(path: Path) -> set[str]:
    """Top-level names of what a module imports; ".." for a relative import that leaves dti_core."""
    depth = len(path.relative_to(ROOT / "dti_core").parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            names.add("..")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_torch_numpy_safetensors_and_the_standard_library_only(path: Path) -> None:
    """A backend names its library's types beside them, and imports it for type checkers only."""
    of_backend = {path.parent.name.partition("_")[0]} if path.parent.parent.name == "backends" else set()
    assert imported(path) <= ALLOWED | of_backend


def test_imports_without_a_host() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "dti_core.sphere" in names
