"""What a queue of concepts goes by: names of folders, results of earlier runs, failures that end nothing."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch


@pytest.mark.parametrize(
    ("folder", "name", "initializer"),
    [
        ("rex dog", "rex", "dog"),
        ("10_rex dog", "rex", "dog"),
        ("bear stuffed  animal", "bear", "stuffed animal"),
        ("rex", "rex", ""),
        ("10_rex", "rex", ""),
        ("10_", "10_", ""),
        ("2024 cat", "2024", "cat"),
        ("2024_rex dog", "2024_rex", "dog"),
        ("caf\u00e9 cup", "caf\u00e9", "cup"),
        ("cafe\u0301 cup", "caf\u00e9", "cup"),
        ("rex(1) dog", "rex_1_", "dog"),
    ],
)
def test_a_folder_says_name_and_initializer(comfy_modules, folder: str, name: str, initializer: str) -> None:
    from dti_pack.nodes.concept_images.concept_name import named_by_folder

    assert named_by_folder(folder) == (name, initializer)


@pytest.fixture
def embeddings(comfy_modules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path)])
    return tmp_path


def save(folder: Path, name: str, mark: str, is_result: bool = True, made=lambda embedding: embedding) -> None:
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.files.embedding_file import save_embedding
    from dti_pack.nodes.host.embeddings.finished import MARK, sealed

    embedding = ConceptEmbedding(name, {"clip_g": torch.ones(1, 80), "clip_l": torch.ones(1, 64)}, {MARK: mark})
    (folder / name).parent.mkdir(exist_ok=True)
    save_embedding(made(sealed(embedding) if is_result else embedding), folder / f"{name}.safetensors")


def test_a_result_is_known_by_its_mark(embeddings: Path) -> None:
    from dti_pack.dti_core.methods.adjust import rescale
    from dti_pack.nodes.host.embeddings.finished import finished

    save(embeddings, "pets/r.x", "other")
    save(embeddings, "pets/r.x-step3", "mine")
    save(embeddings, "pets/rax", "mine")
    save(embeddings, "r.x", "mine")
    (embeddings / "pets" / "r.x_3.safetensors").write_bytes(b"cut off")
    assert finished("pets/r.x", "mine") is None
    save(embeddings, "pets/r.x_2", "mine", is_result=False)  # a step on the way, put in the place of the result
    assert finished("pets/r.x", "mine") is None
    save(embeddings, "pets/r.x_4", "mine", made=lambda one: rescale(one, {"clip_l": 0.4}, one.name))
    assert finished("pets/r.x", "mine") is None
    save(embeddings, "pets/r.x_12", "mine")
    embedding, path = finished("pets/r.x", "mine")
    assert (embedding.name, path) == ("pets/r.x_12", embeddings / "pets" / "r.x_12.safetensors")


class Held:
    """Something large."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("give a word"), "give a word"),
        (RuntimeError("it broke"), "RuntimeError: it broke"),
        (torch.cuda.OutOfMemoryError("full"), "OutOfMemoryError: full"),
    ],
)
def test_a_failure_is_a_sentence_and_holds_nothing(comfy_modules, monkeypatch, error: Exception, reason: str) -> None:
    import comfy.model_management as management
    from dti_pack.nodes.host.training.attempt import Failure, attempt

    unloaded = []
    monkeypatch.setattr(management, "unload_all_models", lambda: unloaded.append(1))
    held = []

    def work() -> None:
        large = Held()
        held.append(weakref.ref(large))
        raise type(error)(*error.args)

    assert attempt(work, "rex") == Failure(reason)
    gc.collect()
    assert held[0]() is None
    assert len(unloaded) == ("full" in reason)
    assert attempt(lambda: 3, "rex") == 3


def test_stop_is_no_failure(comfy_modules) -> None:
    import comfy.model_management as management
    from dti_pack.nodes.host.training.attempt import attempt

    def work() -> None:
        raise management.InterruptProcessingException

    with pytest.raises(management.InterruptProcessingException):
        attempt(work, "rex")
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):  # pressed before it began
        attempt(lambda: pytest.fail("it began"), "rex")
    assert attempt(lambda: 1, "rex") == 1


def test_what_all_concepts_share_needs_no_link_but_the_models(comfy_modules) -> None:
    """What else DTI Train takes by a link belongs to a concept: to `OF_A_CONCEPT`, and to `Concept`."""
    from dti_pack.nodes.train_inputs import settings_inputs

    *models, first = [one.id for one in settings_inputs()[:4]]
    assert (models, first) == (["model", "clip", "vae"], "steps")
    assert [one.id for one in settings_inputs()[3:] if getattr(one, "default", None) is None] == []


def test_what_train_refuses_as_it_is_queued_the_queue_refuses_too(load_models) -> None:
    from dti_pack.nodes.train import DTITrain
    from dti_pack.nodes.train_concepts import DTITrainConcepts

    for wrong in (
        {"held_out": [0], "patience": [50]},
        {"noise_start": [0.5], "noise_end": [0.5]},
        {"preview_prompts": ["no place for it"]},
    ):
        said = [node.validate_inputs(**wrong) for node in (DTITrain, DTITrainConcepts)]
        assert isinstance(said[0], str) and said[0] == said[1]
    assert DTITrainConcepts.validate_inputs() is DTITrain.validate_inputs() is True
