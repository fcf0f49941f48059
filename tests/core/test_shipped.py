"""What a person gets from the Comfy registry: git's files, less what .comfyignore names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IGNORED = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)|<img[^>]+src=\"([^\"]+)\"")


def is_shipped(name: str) -> bool:
    return not any(name == entry or (entry.endswith("/") and name.startswith(entry)) for entry in IGNORED)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "web").rglob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pictures_that_users_see_are_shipped(page: Path) -> None:
    for found in PICTURE.findall(page.read_text(encoding="utf-8")):
        picture = found[0] or found[1]
        if not picture.startswith("https://"):
            file = (page.parent / picture).resolve()
            assert file.is_file(), picture
            assert is_shipped(file.relative_to(ROOT).as_posix()), picture


def test_each_workflow_has_its_thumbnail() -> None:
    for workflow in (ROOT / "workflows").glob("*.json"):
        assert workflow.with_suffix(".jpg").is_file()
        assert is_shipped(workflow.relative_to(ROOT).as_posix())


def test_pictures_of_the_docs_are_shown_and_those_in_two_places_are_the_same() -> None:
    """Some are drawn by the benchmarks."""
    pages = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    for file in pictures:
        assert f"images/{file.name}" in pages
        drawn = ROOT / "benchmarks" / "paper_tables" / "report" / file.name
        assert not drawn.is_file() or drawn.read_bytes() == file.read_bytes()


def test_what_is_left_out_exists_and_the_pack_is_not_among_it() -> None:
    assert all((ROOT / entry).exists() for entry in IGNORED)
    assert all(
        is_shipped(name) for name in ("__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "README.md")
    )
    assert all(is_shipped(f"{folder}/x.py") for folder in ("nodes", "dti_core", "workflows", "web"))


def test_citation_and_package_name_one_version() -> None:
    versions = [
        re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        for file, pattern in [("CITATION.cff", r"^version: (.+)$"), ("pyproject.toml", r'^version = "(.+)"$')]
    ]
    assert versions[0] == versions[1] and len(versions[0]) == 1
