"""Every format that people have: a file in that format's own layout, written here, and what is read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import load_embedding, save_embedding
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
    "two names": ("dog.safetensors", {"emb": L, "emb2": G}, {"clip_l": L, "clip_g": G}, {}),
    "two tokens": ("dog.bin", {"<dog_g>": G, "<dog>": L}, {"clip_l": L, "clip_g": G}, {}),
    "cog-sdxl": (
        "embeddings.pti",
        {"text_encoders_0": L, "text_encoders_1": G},
        {"clip_l": L, "clip_g": G},
        {},
    ),
    "several tokens": (
        "dog.safetensors",
        {f"<s{i}>": rows(1, 768, i) for i in range(11)},
        {"clip_l": torch.cat([rows(1, 768, i) for i in range(11)])},
        {"dti.tokens": ", ".join(f"<s{i}>" for i in range(11))},
    ),
    "several tokens of a1111": (
        "dog.pt",
        {"string_to_param": {"*": L, "+": L + 1}},
        {"clip_l": torch.cat([L, L + 1])},
        {"dti.tokens": "*, +"},
    ),
    "uneven": ("dog.safetensors", {"clip_l": L, "clip_g": G[:2]}, {"clip_l": L, "clip_g": G[:2]}, {}),
    "list of encoders": ("dog.pt", [{"clip_l": L}, {"clip_g": G}], {"clip_l": L, "clip_g": G}, {}),
    "list of one word": ("dog.pt", [{"<dog>": L}, {"<dog>": G}], {"clip_l": L, "clip_g": G}, {}),
    "trajectory": (
        "dog.pt",
        [{"<dog>": L + i} for i in range(3)],
        {"clip_l": L + 2},
        {"dti.snapshot": "3 of 3; the others are 1, 2", "dti.placeholder": "<dog>"},
    ),
    "trajectory of tensors": ("dog.pt", [L, L + 1], {"clip_l": L + 1}, {"dti.snapshot": "2 of 2; the others are 1"}),
    "trajectory by name": (
        "dog.safetensors",
        {f"step_{i}": L + i for i in (50, 100)},
        {"clip_l": L + 100},
        {"dti.snapshot": "step_100 of 2; the others are step_50", "dti.placeholder": "step_100"},
    ),
    "sana": ("dog.safetensors", {"gemma": rows(1, 2304)}, {"gemma2_2b": rows(1, 2304)}, {}),
    "another encoder of a known width": ("dog.safetensors", {"qwen3_06b": H}, {"qwen3_06b": H}, {}),
    "the other clip's name": (
        "dog.safetensors",
        {"clip_g": L},
        {"clip_l": L},
        {"dti.read_by_width": "clip_g is clip_l's"},
    ),
    "a flower is no LoRA": ("dog.safetensors", {"<flora>": L}, {"clip_l": L}, {"dti.placeholder": "<flora>"}),
    "beside a counter": (
        "dog.safetensors",
        {"emb_params": L, "step": torch.tensor(5)},
        {"clip_l": L},
        {"dti.ignored_tensors": "step"},
    ),
    "beside an older key": (
        "dog.safetensors",
        {"clip_l": L, "emb_params": L + 1},
        {"clip_l": L},
        {"dti.ignored_tensors": "emb_params"},
    ),
    "a pt that is safetensors": ("dog.pt!", {"emb_params": L}, {"clip_l": L}, {}),
    "one encoder of sdxl": ("dog.pt", {"clip_g": G}, {"clip_g": G}, {}),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_format(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    file, content, vectors, metadata = FORMATS[kind]
    content = cast(content, dtype)
    if file.endswith((".pti", "!")):
        file = file.removesuffix("!")
        write(tmp_path / "plain.safetensors", content).rename(tmp_path / file)
        path = tmp_path / file
    else:
        path = write(tmp_path / file, content)
    loaded = load_embedding(path)
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
    if isinstance(content, list):
        return [cast(value, dtype) for value in content]
    return content.to(dtype) if torch.is_tensor(content) and content.is_floating_point() else content


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


# Parts of other files


@pytest.mark.parametrize(
    ("content", "part", "vectors"),
    [
        ([{"<dog>": L}, {"<dog>": L + 1}], "1", L),
        ({"step_5": L, "step_50": L + 1}, "step_5", L),
        ({"<s0>": L, "<s1>": L + 1}, "<s1>", L + 1),
        ([{"clip_l": L}, {"clip_g": G}], "1", L),
    ],
)
def test_a_part_is_chosen_by_its_name(tmp_path: Path, content: Any, part: str, vectors: torch.Tensor) -> None:
    assert torch.equal(load_embedding(write(tmp_path / "dog.pt", content), part).vectors["clip_l"], vectors)


def test_a_snapshot_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.pt", [{"<dog>": L + i} for i in range(20)])
    with pytest.raises(ValueError, match=r"20 snapshots and none is called '21'; choose 1, 2, 3, 4 \.\.\. 19, 20"):
        load_embedding(path, "21")


def test_eight_bit_floats_are_read(tmp_path: Path) -> None:
    vectors = L.to(torch.float8_e4m3fn)
    for file in ("dog.safetensors", "dog.pt"):
        loaded = load_embedding(write(tmp_path / file, {"emb_params": vectors}))
        assert torch.equal(loaded.vectors["clip_l"], vectors.float())


# What cannot be read is named


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize("file", ["dog.safetensors", "dog.pt", "dog.bin", "dog.pti"])
def test_a_git_lfs_pointer_is_named(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(LFS)
    with pytest.raises(ValueError, match=r"a Git LFS pointer.*git lfs pull"):
        load_embedding(tmp_path / file)


def test_a_web_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "dog.pt").write_bytes(b"\n<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(ValueError, match="is a web page"):
        load_embedding(tmp_path / "dog.pt")


def test_vectors_beyond_what_is_read_are_counted_over_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "dog.safetensors", {f"<s{i}>": torch.ones(1000, 768) for i in range(2)})
    with pytest.raises(ValueError, match="2000 vectors for clip_l"):
        load_embedding(path)


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
    with pytest.raises(ValueError, match="is truncated or not a safetensors file"):
        load_embedding(path)
