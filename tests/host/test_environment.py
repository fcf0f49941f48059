"""The folder and the process that a ComfyUI gets here: nothing of the user's is touched."""

import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from benchmarks.small_checkpoints import SMALL_SDXL
from comfy_host import release
from comfy_host.environment import (
    REPO,
    SetupError,
    comfyui_tree,
    comfyui_version,
    declared_packages,
    given_interpreter,
    host_dir,
)
from comfy_host.process import PACK_NAME, Host, command_line, make_base, running_host


def comfyui(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("raise SystemExit('out of order')")
    (folder / "comfyui_version.py").write_text('__version__ = "9.8.7"\n')
    return folder


def test_a_given_comfyui_is_taken(tmp_path: Path) -> None:
    tree = comfyui(tmp_path / "portable" / "ComfyUI")
    assert comfyui_tree(str(tree)) == tree
    assert comfyui_tree(str(tree.parent)) == tree
    assert comfyui_version(tree) == "9.8.7"


def test_the_variables_name_comfyui_and_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = comfyui(tmp_path / "ComfyUI")
    monkeypatch.setenv("DTI_COMFYUI", str(tree))
    monkeypatch.setenv("DTI_PYTHON", str(tree / "main.py"))
    monkeypatch.setenv("DTI_HOST_DIR", str(tmp_path))
    assert (comfyui_tree(), given_interpreter(), host_dir()) == (tree, tree / "main.py", tmp_path)


def test_the_gpu_can_be_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTI_CPU", "1")
    assert "--cpu" in command_line(tmp_path, tmp_path / "python_that_is_not_asked", tmp_path, 1)


def test_wrong_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"No ComfyUI in .*Name the folder"):
        comfyui_tree(str(tmp_path))
    with pytest.raises(SetupError, match=r"No Python at .*nobody"):
        given_interpreter(str(tmp_path / "nobody"))


@pytest.mark.parametrize("array", ["dependencies", "benchmarks", "diffusers", "dev"])
def test_packages_are_read_as_a_toml_parser_reads_them(array: str) -> None:
    tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert declared_packages(array) == {**project, **project["optional-dependencies"]}[array]


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the site with the releases, and no ComfyUI given."""
    monkeypatch.delenv("DTI_COMFYUI", raising=False)
    monkeypatch.setenv("DTI_HOST_DIR", str(tmp_path / "host"))
    monkeypatch.setattr(release, "RELEASES", tmp_path.as_uri())
    folder = tmp_path / "archive" / "refs" / "tags"
    folder.mkdir(parents=True)
    return folder


def test_a_release_is_fetched_once(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTI_COMFYUI_VERSION", "9.8.7")
    with zipfile.ZipFile(releases / "v9.8.7.zip", "w") as archive:
        archive.writestr("ComfyUI-9.8.7/main.py", "")
        archive.writestr("ComfyUI-9.8.7/comfyui_version.py", '__version__ = "9.8.7"')
    tree = comfyui_tree()
    assert comfyui_version(tree) == "9.8.7"
    (releases / "v9.8.7.zip").unlink()
    assert comfyui_tree() == tree
    assert list(host_dir().iterdir()) == [tree]


@pytest.mark.parametrize("content", [None, b"<html>Sign in to this network</html>"])
def test_a_release_that_cannot_be_had_leaves_nothing(
    releases: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DTI_COMFYUI_VERSION", "9.8.7")
    if content is not None:
        (releases / "v9.8.7.zip").write_bytes(content)
    with pytest.raises(SetupError, match=r"no release 9\.8\.7 in .*Only 0\.3\.75 is also"):
        comfyui_tree()
    assert list(host_dir().iterdir()) == []


def test_the_newest_release_needs_its_page(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTI_COMFYUI_VERSION", "newest")
    with pytest.raises(SetupError, match=r"does not answer.*Set DTI_COMFYUI_VERSION to a number"):
        comfyui_tree()


def test_the_base_keeps_models_and_renews_the_packs(tmp_path: Path) -> None:
    make_base(tmp_path)
    model = tmp_path / "models" / "embeddings" / "mine.safetensors"
    model.write_bytes(b"mine")
    stale = tmp_path / "custom_nodes" / PACK_NAME / "nodes" / "of_an_older_version.py"
    stale.write_text("")
    make_base(tmp_path, packs=[SMALL_SDXL], models={"checkpoints": tmp_path / 'a "strange\\ folder'})
    assert model.read_bytes() == b"mine"
    assert not stale.exists()
    assert (tmp_path / "custom_nodes" / "small_sdxl" / "__init__.py").is_file()
    assert not list(tmp_path.glob("**/__pycache__"))
    paths = yaml.safe_load((tmp_path / "extra_model_paths.yaml").read_text(encoding="utf-8"))
    assert paths == {"dti": {"checkpoints": str(tmp_path / 'a "strange\\ folder')}}


def test_a_comfyui_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    tree = comfyui(tmp_path / "ComfyUI")
    make_base(tmp_path / "base")
    with pytest.raises(SetupError, match="out of order"), running_host(tree, Path(sys.executable), tmp_path / "base"):
        pass


def test_nothing_is_written_into_comfyui(host: Host) -> None:
    """Not even its settings and its database, which by default lie there."""
    started = (host.base / "extra_model_paths.yaml").stat().st_mtime
    for folder in ("custom_nodes", "input", "models", "output", "user"):
        files = [file for file in (comfyui_tree() / folder).rglob("*") if file.is_file()]
        assert [file for file in files if file.stat().st_mtime > started] == []
    assert (host.base / "user" / "comfyui.db").is_file()
