"""200 damaged files through the reader: an error each, or the right tensors; never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import load_embedding, save_embedding

MUTATIONS = 50


def rows(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


VECTORS = {"clip_l": rows(2, 768, 1), "clip_g": rows(2, 1280, 2)}


def ours(path: Path) -> None:
    save_embedding(ConceptEmbedding("dog", VECTORS, {"dti.steps": "400"}), path)


def one_encoder(path: Path) -> None:
    save_embedding(ConceptEmbedding("dog", {"clip_l": VECTORS["clip_l"]}), path)


def a1111(path: Path) -> None:
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS["clip_l"]}, "step": 499}, path)


def kohya_pt(path: Path) -> None:
    torch.save(VECTORS, path)


def flip(content: bytearray, chance: random.Random, region: int) -> None:
    """One to four bits, in the header half of the time."""
    for _ in range(chance.randint(1, 4)):
        end = region if chance.random() < 0.5 else len(content)
        content[chance.randrange(end)] ^= 1 << chance.randrange(8)


def truncate(content: bytearray, chance: random.Random, region: int) -> None:
    del content[chance.randrange(len(content)) :]


def wrong_header(content: bytearray, chance: random.Random, region: int) -> None:
    """Bytes of the header overwritten, dropped or doubled, or a length that lies."""
    start = chance.randrange(region)
    size = chance.randint(1, 40)
    piece = bytes(chance.randrange(256) for _ in range(size))
    content[start : start + chance.choice([0, size, 2 * size])] = chance.choice([b"", piece, content[:size]])


def header_size(content: bytes) -> int:
    return 300 if content[:2] == b"PK" else 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize(
    ("write", "file"),
    [(ours, "dog.safetensors"), (one_encoder, "dog.safetensors"), (a1111, "dog.pt"), (kohya_pt, "dog.bin")],
)
def test_damaged_files(tmp_path: Path, write, file: str) -> None:
    path = tmp_path / file
    write(path)
    whole = path.read_bytes()
    chance = random.Random(f"{write.__name__} 1")
    refused = 0
    for _ in range(MUTATIONS):
        content = bytearray(whole)
        chance.choice([flip, flip, truncate, wrong_header])(content, chance, header_size(whole))
        path.write_bytes(content)
        try:
            loaded = load_embedding(path)
        except (ValueError, OSError) as error:
            assert "dog" in str(error)
            refused += 1
        else:
            for key, vectors in loaded.vectors.items():
                assert torch.equal(vectors, VECTORS.get(key, vectors))
                assert any(torch.equal(vectors, true) for true in VECTORS.values())
    assert refused > MUTATIONS // 2


def test_a_file_without_a_checksum_keeps_its_shape(tmp_path: Path) -> None:
    """Nothing can tell a flipped bit from a value there, but no vector may move or be left out."""
    path = tmp_path / "dog.safetensors"
    save_file(VECTORS, path)
    whole = path.read_bytes()
    chance = random.Random(2)
    for _ in range(20):
        content = bytearray(whole)
        flip(content, chance, len(content))
        path.write_bytes(content)
        try:
            loaded = load_embedding(path)
        except ValueError:
            continue
        for key, vectors in loaded.vectors.items():
            assert (vectors != VECTORS.get(key, vectors)).sum() <= 4
