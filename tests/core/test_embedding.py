from __future__ import annotations

import copy
import pickle

import pytest
import torch

from dti_core.embedding import ConceptEmbedding


def rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def test_norms_and_directions_make_up_the_vectors() -> None:
    embedding = ConceptEmbedding("dog", {"clip_l": rows(2, 768), "clip_g": rows(2, 1280)})
    assert embedding.n_vectors == 2
    assert embedding.widths == {"clip_l": 768, "clip_g": 1280}
    for key, vectors in embedding.vectors.items():
        assert embedding.norms()[key].shape == (2,)
        torch.testing.assert_close(embedding.directions()[key].norm(dim=-1), torch.ones(2))
        torch.testing.assert_close(embedding.directions()[key] * embedding.norms()[key][:, None], vectors)


def test_vectors_are_copies() -> None:
    source = rows(2, 8)
    embedding = ConceptEmbedding("dog", {"clip_l": source})
    source.zero_()
    assert torch.equal(embedding.vectors["clip_l"], rows(2, 8))


def test_vectors_are_contiguous_float32_without_history() -> None:
    source = rows(8, 2).half().T.requires_grad_()
    vectors = ConceptEmbedding("dog", {"clip_l": source}).vectors["clip_l"]
    assert vectors.dtype == torch.float32
    assert vectors.is_contiguous()
    assert not vectors.requires_grad
    assert torch.equal(vectors, source.detach().float())


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({}, "no vectors"),
        ({"clip_l": torch.ones(8)}, r"shape \(8,\).*unsqueeze"),
        ({"clip_l": torch.ones(1, 2, 8)}, r"shape \(1, 2, 8\)"),
        ({"clip_l": torch.ones(0, 8)}, r"shape \(0, 8\)"),
        ({"clip_l": torch.ones(1, 8, dtype=torch.int64)}, "int64"),
        ({"clip_l": torch.tensor([[1.0], [float("nan")], [float("inf")]])}, "clip_l.*in vector 1, 2;"),
    ],
)
def test_bad_vectors_are_refused(vectors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConceptEmbedding("dog", vectors)


def test_encoders_may_differ_in_their_number_of_vectors() -> None:
    embedding = ConceptEmbedding("dog", {"clip_l": rows(1, 8), "clip_g": rows(2, 8)})
    assert embedding.counts == {"clip_l": 1, "clip_g": 2}
    assert embedding.n_vectors == 2


def test_metadata_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'dti.steps' is int"):
        ConceptEmbedding("dog", {"clip_l": rows(1, 8)}, {"dti.steps": 400})  # type: ignore[dict-item]


def test_a_vector_of_length_zero_has_no_direction() -> None:
    embedding = ConceptEmbedding("dog", {"clip_l": torch.zeros(1, 8)})
    with pytest.raises(ValueError, match="norms 0"):
        embedding.directions()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_a_host_may_copy_or_store_it(clone: object) -> None:
    embedding = ConceptEmbedding("dog", {"clip_l": rows(1, 8)}, {"dti.steps": "400"})
    twin = clone(embedding)  # type: ignore[operator]
    assert torch.equal(twin.vectors["clip_l"], embedding.vectors["clip_l"])
    assert (twin.name, twin.metadata) == ("dog", {"dti.steps": "400"})
