"""Under which name an embedding is saved where folders hold others, and where several save at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

WIDTHS = {"clip_l": 64, "clip_g": 96}


@pytest.fixture
def folders(comfy_modules, tmp_path, monkeypatch):
    """Two folders for embeddings, as extra_model_paths.yaml gives them; the first is saved to."""
    import folder_paths

    both = [tmp_path / "embeddings", tmp_path / "elsewhere"]
    for folder in both:
        folder.mkdir()
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(folder) for folder in both])
    return both


def embedding(name, fill=1.0):
    from dti_pack.dti_core.embedding import ConceptEmbedding

    return ConceptEmbedding(name, {key: torch.full((1, width), fill) for key, width in WIDTHS.items()})


def test_of_those_who_number_one_name_at_once_nobody_loses(folders):
    from dti_pack.dti_core.files.embedding_file import load_embedding
    from dti_pack.nodes.host.embeddings.saving import save_to_folder

    start = Barrier(6)

    def save(number):
        start.wait()
        return save_to_folder(embedding("dog", number), "number")

    with ThreadPoolExecutor(6) as pool:
        saved = list(pool.map(save, map(float, range(1, 7))))
    assert {one.name for one, _ in saved} == {"dog", *(f"dog_{i}" for i in range(2, 7))}
    for number, (one, path) in enumerate(saved, start=1):
        assert path.stem == one.name == one.metadata["modelspec.title"]
        assert float(load_embedding(path).vectors["clip_l"][0, 0]) == number


def test_what_a_run_saved_before_it_was_killed_is_not_saved_again(folders):
    import dataclasses

    from dti_pack.nodes.host.embeddings.saving import keep

    first = dataclasses.replace(embedding("dog-step4"), metadata={"dti.step": "4", "modelspec.date": "before"})
    path = keep(first, False)[1]
    again = dataclasses.replace(first, metadata={"dti.step": "4", "modelspec.date": "after"})
    assert keep(again, False)[1] == path
    assert keep(dataclasses.replace(again, metadata={"dti.step": "4", "dti.seed": "1"}), False)[1].stem == "dog-step4_2"
    assert keep(embedding("dog-step4", 2.0), False)[1].stem == "dog-step4_3"
    path.write_bytes(b"cut off")
    assert keep(again, False)[1].stem == "dog-step4_4"


@pytest.mark.parametrize(
    "other", ["elsewhere/dog.pt", "elsewhere/old/dog.safetensors", "embeddings/a/b/dog", "embeddings/dog"]
)
def test_replace_objects_to_another_file_that_a_prompt_may_read(folders, tmp_path, other):
    from dti_pack.nodes.host.embeddings.saving import free_name, keep

    path = tmp_path / other
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(ValueError, match="might read either") as caught:
        free_name("dog", "replace")
    assert str(path) in str(caught.value)
    assert keep(embedding("dog"), replace=True)[0].name == "dog_2"
    assert path.stat().st_size == 0


@pytest.mark.parametrize(
    "other", ["embeddings/dog.safetensors", "embeddings/dog.bin", "elsewhere/dogs.pt", "elsewhere/dog.txt"]
)
def test_replace_takes_what_no_prompt_confuses(folders, tmp_path, other):
    from dti_pack.nodes.host.embeddings.saving import check_prompt_reads, free_name, save_to_folder

    (tmp_path / other).touch()
    assert free_name("dog", "replace") == "dog"
    check_prompt_reads(save_to_folder(embedding("dog"), "replace")[0])


def test_one_folder_listed_twice_is_no_second_file(folders, monkeypatch):
    import folder_paths
    from dti_pack.nodes.host.embeddings.folder import prompt_reads
    from dti_pack.nodes.host.embeddings.saving import free_name, save_to_folder

    (folders[0] / "pets").mkdir()
    both = [str(folders[0]), str(folders[0] / "pets")]
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: both)
    save_to_folder(embedding("pets/dog"), "error")
    assert free_name("pets/dog", "replace") == "pets/dog"
    assert prompt_reads(embedding("pets/dog"))


@pytest.mark.parametrize("name", ["Dog", "dog", "pets/dog"])
def test_a_taken_name_is_refused_with_the_file_that_has_it(folders, name):
    from dti_pack.nodes.host.embeddings.saving import free_name

    (folders[1] / "pets").mkdir()
    path = folders[1] / "pets" / "DOG.pt"
    path.touch()
    with pytest.raises(ValueError, match="already in models/embeddings") as caught:
        free_name(name, "error")
    assert str(path) in str(caught.value)
    assert free_name(name, "number") == f"{name}_2"


def test_where_nothing_can_be_written_it_is_said_before(folders):
    from dti_pack.nodes.host.embeddings.saving import free_name

    (folders[0] / "pets").touch()
    with pytest.raises(OSError, match="choose another folder"):
        free_name("pets/dog", "error")
    (folders[0] / "cat.safetensors").mkdir()
    with pytest.raises(OSError, match="choose another folder"):
        free_name("cat", "number")


def test_two_files_of_one_name_are_not_read_by_it(folders):
    """Which of them the host takes is chance; Load then hands the embedding on under a name of its own."""
    from dti_pack.nodes.host.embeddings.folder import prompt_reads
    from dti_pack.nodes.host.embeddings.saving import save_to_folder

    _, path = save_to_folder(embedding("dog"), "error")
    assert prompt_reads(embedding("dog"))
    os.link(path, folders[1] / "linked.safetensors")
    assert prompt_reads(embedding("dog"))
    (folders[1] / "dog.safetensors").write_bytes(path.read_bytes())
    assert not prompt_reads(embedding("dog"))


def test_a_long_name_leaves_room_for_the_step(models, folders, monkeypatch):
    from types import SimpleNamespace

    from dti_pack.nodes.host.training import run_report
    from dti_pack.nodes.host.training.concept_files import ConceptFiles
    from dti_pack.nodes.prompt_name import MAX_LENGTH

    monkeypatch.setattr(run_report, "show_on_node", lambda text, node_id: None)
    name = "n" * MAX_LENGTH
    watch = SimpleNamespace(step=lambda report: None, lines="")
    report = run_report.RunReport(
        [ConceptFiles(name, {}, False)], "7", steps=400, save_every=100, memory="", watch=watch
    )
    step = SimpleNamespace(step=100, loss=0.0, moved=True, vectors=embedding("x").vectors, angle_to_prior={})
    report(step)
    (kept,) = os.listdir(folders[0])
    assert kept.endswith("-step100.safetensors") and kept.startswith("nnn")
