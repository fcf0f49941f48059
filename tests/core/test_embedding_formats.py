"""Every format that people have: a file in that format's own layout, written here, and what is read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dti_core.concept_embedding import ConceptEmbedding
from dti_core.embedding_file import load_embedding, save_embedding
from tests.core.embeddings import G, H, L, rows, write

LORA = {"lora_te1_layers_0.lora_down.weight": rows(4, 8), "lora_te1_layers_0.alpha": torch.tensor(4)}
A1111 = {"string_to_token": {"*": 265}, "name": "dog", "step": 499, "sd_checkpoint_name": "v1-5"}


# (file name, content, vectors by encoder, metadata)
FORMATS: dict[str, tuple[str, Any, dict[str, torch.Tensor], dict[str, str]]] = {
    "kohya sdxl": ("dog.safetensors", {"clip_l": L, "clip_g": G}, {"clip_l": L, "clip_g": G}, {}),
    "kohya sdxl pt": ("dog.pt", {"clip_l": L, "clip_g": G}, {"clip_l": L, "clip_g": G}, {}),
    "kohya sd1": ("dog.safetensors", {"emb_params": L}, {"clip_l": L}, {}),
    "kohya sd2": ("dog.safetensors", {"emb_params": H}, {"clip_h": H}, {}),
    "kohya sd1 pt": ("dog.pt", {"emb_params": L}, {"clip_l": L}, {}),
    "onetrainer sdxl": (
        "dog.safetensors",
        {"clip_l": L, "clip_g": G, "clip_l_out": L + 1, "clip_g_out": G + 1},
        {"clip_l": L, "clip_g": G},
        {"dti.ignored_tensors": "clip_g_out, clip_l_out"},
    ),
    "onetrainer sd1": ("dog.safetensors", {"emp_params": L}, {"clip_l": L}, {}),
    "onetrainer sd1 with output": (
        "dog.safetensors",
        {"emp_params": L, "emp_params_out": L + 1},
        {"clip_l": L},
        {"dti.ignored_tensors": "emp_params_out"},
    ),
    "onetrainer flux": (
        "dog.safetensors",
        {"clip_l": L, "t5": rows(3, 4096)},
        {"clip_l": L, "t5xxl": rows(3, 4096)},
        {},
    ),
    "a1111 pt": (
        "dog.pt",
        {**A1111, "string_to_param": {"*": L}, "sd_checkpoint": None},
        {"clip_l": L},
        {"source.name": "dog", "source.step": "499", "source.sd_checkpoint_name": "v1-5"},
    ),
    "a1111 pt of a parameter": (
        "dog.pt",
        {"string_to_param": {"*": torch.nn.Parameter(L)}},
        {"clip_l": L},
        {},
    ),
    "a1111 safetensors": ("dog.safetensors", {"emb_params": L}, {"clip_l": L}, {}),
    "invokeai, diffusers bin": ("learned_embeds.bin", {"<dog>": L[0]}, {"clip_l": L[:1]}, {"dti.placeholder": "<dog>"}),
    "diffusers safetensors": ("learned_embeds.safetensors", {"sks": L}, {"clip_l": L}, {"dti.placeholder": "sks"}),
    "second half alone": ("learned_embeds_2.bin", {"<dog>": G}, {"clip_g": G}, {"dti.placeholder": "<dog>"}),
    "bundled": (
        "lora.safetensors",
        {**LORA, "bundle_emb.my.dog.clip_l": L, "bundle_emb.my.dog.clip_g": G, "bundle_emb.my.dog.clip_g_out": G + 1},
        {"clip_l": L, "clip_g": G},
        {"dti.ignored_tensors": "clip_g_out"},
    ),
    "bundled a1111": ("lora.safetensors", {**LORA, "bundle_emb.dog.string_to_param.*": L}, {"clip_l": L}, {}),
    "one vector each": ("dog.safetensors", {"clip_l": L[0], "clip_g": G[0]}, {"clip_l": L[:1], "clip_g": G[:1]}, {}),
    "one encoder of sdxl": ("dog.pt", {"clip_g": G}, {"clip_g": G}, {}),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_format(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    file, content, vectors, metadata = FORMATS[kind]
    loaded = load_embedding(write(tmp_path / file, cast(content, dtype)))
    assert loaded.name == Path(file).stem
    assert loaded.vectors.keys() == vectors.keys()
    for key, expected in vectors.items():
        assert loaded.vectors[key].dtype == torch.float32
        assert torch.equal(loaded.vectors[key], expected.to(dtype).float())
    assert loaded.metadata == metadata
    save_embedding(loaded, tmp_path / "again.safetensors")
    again = load_embedding(tmp_path / "again.safetensors")
    assert all(torch.equal(again.vectors[key], loaded.vectors[key]) for key in vectors)
    assert (again.vectors.keys(), again.metadata) == (loaded.vectors.keys(), loaded.metadata)


def cast(content: Any, dtype: torch.dtype) -> Any:
    if isinstance(content, dict):
        return {key: cast(value, dtype) for key, value in content.items()}
    return content.to(dtype) if torch.is_tensor(content) else content


# Bundles


def test_of_several_in_a_lora_one_is_chosen(tmp_path: Path) -> None:
    content = {**LORA, **{f"bundle_emb.{name}.clip_l": rows(1, 768, seed) for seed, name in enumerate(["dog", "cat"])}}
    path = write(tmp_path / "lora.safetensors", content)
    assert torch.equal(load_embedding(path, "cat").vectors["clip_l"], rows(1, 768, 1))
    with pytest.raises(ValueError, match=r"carries the embeddings 'cat', 'dog'; Say which"):
        load_embedding(path)
    with pytest.raises(ValueError, match=r"'cat', 'dog'; 'cow' is not one of them"):
        load_embedding(path, "cow")


def test_a_name_in_a_plain_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="carries no 'cat'"):
        load_embedding(write(tmp_path / "dog.safetensors", {"emb_params": L}), "cat")


# What cannot be read is named


def test_a_zero_vector_is_refused(tmp_path: Path) -> None:
    vectors = L.clone()
    vectors[1] = 0
    with pytest.raises(ValueError, match=r"dog.safetensors has zeros only in vector 1 of clip_l"):
        load_embedding(write(tmp_path / "dog.safetensors", {"clip_l": vectors, "clip_g": G}))


@pytest.mark.parametrize("file", ["dog.pt", "dog.bin", "dog.safetensors"])
def test_empty_files(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(ValueError, match="dog"):
        load_embedding(tmp_path / file)


@pytest.mark.parametrize("file", ["dog.pt", "dog.bin"])
def test_missing_files(tmp_path: Path, file: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such embedding"):
        load_embedding(tmp_path / file)


def test_other_extensions_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in '\.ckpt'"):
        load_embedding(write(tmp_path / "dog.ckpt", {"emb_params": L}))


# Checksums and sizes


def test_the_checksum_in_the_header_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(ConceptEmbedding("dog", {"clip_l": L, "clip_g": G}), path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="do not have the checksum"):
        load_embedding(path)


def test_a_file_of_ours_without_its_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(ConceptEmbedding("dog", {"clip_l": L}), path)
    path.write_bytes(path.read_bytes().replace(b"hash_sha256", b"hash_sha257"))
    with pytest.raises(ValueError, match="do not have the checksum"):
        load_embedding(path)


def test_absurd_shapes_in_a_bundle_are_refused_by_header(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}
    header = json.dumps({"bundle_emb.dog.clip_l": entry}).encode()
    path = tmp_path / "lora.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    with pytest.raises(ValueError, match="at most 1024 vectors"):
        load_embedding(path)
