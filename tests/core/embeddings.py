"""Small embeddings and files of them, for the tests beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from dti_core.embedding import ConceptEmbedding


def rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


L, G, H = rows(3, 768, 1), rows(3, 1280, 2), rows(3, 1024, 3)


def small(fill: float = 1.0) -> ConceptEmbedding:
    vectors = {"clip_l": torch.full((2, 3), fill), "clip_g": torch.full((2, 5), fill)}
    return ConceptEmbedding("dog", vectors, {"dti.steps": "400"})


def write(path: Path, content: Any) -> Path:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


def assert_same(loaded: ConceptEmbedding, expected: ConceptEmbedding) -> None:
    assert loaded.vectors.keys() == expected.vectors.keys()
    for key, vectors in expected.vectors.items():
        assert torch.equal(loaded.vectors[key], vectors)
    assert (loaded.name, loaded.metadata) == (expected.name, expected.metadata)
