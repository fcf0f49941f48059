"""The host's input folder as the loader sees it."""

from __future__ import annotations

import pytest


@pytest.fixture
def input_folder(comfy_modules, tmp_path, monkeypatch):
    import folder_paths
    from dti_pack.nodes.host import input_folder

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    for name in ("10/a.png", "2/deep/b.png", ".hidden/c.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    return input_folder


def test_folders_in_natural_order_without_hidden_ones(input_folder, tmp_path):
    assert input_folder.input_folders() == ["2", "2/deep", "10", "my_concept"]


def test_a_linked_folder_lies_elsewhere_and_counts(input_folder, tmp_path):
    try:
        (tmp_path / "linked").symlink_to(tmp_path / "2" / "deep", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert "linked" in input_folder.input_folders()
    assert len(input_folder.concept_folder("linked", False).pictures) == 1


def test_what_comes_by_a_link_in_the_graph_is_not_known_and_still_seen(input_folder, tmp_path):
    """The host gives no value then: any change below input counts, or below the folder."""
    everything, deep = input_folder.input_fingerprint(None, False), input_folder.input_fingerprint("2", None)
    shallow, other = input_folder.input_fingerprint("2", False), input_folder.input_fingerprint("10", None)
    (tmp_path / "2/deep/b.png").write_bytes(b"changed")
    assert input_folder.input_fingerprint(None, False) != everything
    assert input_folder.input_fingerprint("2", None) != deep
    assert input_folder.input_fingerprint("2", False) == shallow
    assert input_folder.input_fingerprint("10", None) == other
