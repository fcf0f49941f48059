from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import check_widths, load_embedding, save_embedding
from dti_core.files.header import TensorInfo, read_header
from tests.core.embeddings import assert_same, rows, small
from tests.core.properties import HealthCheck, given, settings, st


def sdxl(seed: int = 0) -> ConceptEmbedding:
    metadata = {f"dti.{key}": key * 3 for key in "zyxabc"} | {"modelspec.title": 'd\u00f6g "1"'}
    return ConceptEmbedding("dog", {"clip_l": rows(2, 768, seed), "clip_g": rows(2, 1280, seed)}, metadata)


def raw(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# Saving


def test_an_sdxl_file_has_exactly_two_float32_tensors(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(sdxl(), path)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == {"clip_l", "clip_g"}
        for key in file.keys():
            assert file.get_tensor(key).dtype == torch.float32
            assert torch.equal(file.get_tensor(key), sdxl().vectors[key])
        metadata = file.metadata()
    data = safetensors.torch.save(dict(sdxl().vectors))
    data = data[8 + int.from_bytes(data[:8], "little") :]
    assert metadata == {
        **sdxl().metadata,
        "format": "pt",
        "dti.format": "1",
        "modelspec.hash_sha256": "0x" + hashlib.sha256(data).hexdigest(),
    }


@pytest.mark.parametrize(("encoder", "width"), [("clip_l", 768), ("gemma2_2b", 2304), ("my_encoder", 7)])
def test_a_single_encoder_file_has_exactly_emb_params(tmp_path: Path, encoder: str, width: int) -> None:
    path = tmp_path / "dog.safetensors"
    embedding = ConceptEmbedding("dog", {encoder: rows(1, width)})
    save_embedding(embedding, path)
    header = read_header(path)
    assert header.tensors == {"emb_params": TensorInfo("F32", (1, width))}
    assert header.metadata["dti.encoder"] == encoder
    assert_same(load_embedding(path), embedding)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "dog.safetensors"
    save_embedding(sdxl(), path)
    assert_same(load_embedding(path), sdxl())
    save_embedding(load_embedding(path), tmp_path / "dog.safetensors")
    assert (tmp_path / "dog.safetensors").read_bytes() == path.read_bytes()


def test_equal_embeddings_are_equal_files(tmp_path: Path) -> None:
    for number in range(5):
        save_embedding(sdxl(), tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(1.0), path)
    with pytest.raises(FileExistsError, match="was kept; choose another name") as error:
        save_embedding(small(2.0), path)
    assert error.value.filename == str(path)
    assert_same(load_embedding(path), small(1.0))
    assert os.listdir(tmp_path) == ["dog.safetensors"]


def test_an_existing_file_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(1.0), path)
    save_embedding(small(2.0), path, overwrite=True)
    assert_same(load_embedding(path), small(2.0))
    assert os.listdir(tmp_path) == ["dog.safetensors"]


@pytest.mark.parametrize("name", ["dog", "dog.pt", "dog.1"])
def test_other_extensions_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        save_embedding(small(), tmp_path / name)
    assert os.listdir(tmp_path) == []


# Loading


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("key", "width", "encoder"),
    [("emb_params", 768, "clip_l"), ("emb_params", 1024, "clip_h"), ("clip_g", 1280, "clip_g")],
)
def test_plain_files_of_other_tools(
    tmp_path: Path, key: str, width: int, encoder: str, dtype: torch.dtype
) -> None:
    path = tmp_path / "my dog.safetensors"
    vectors = rows(3, width).to(dtype)
    safetensors.torch.save_file({key: vectors}, path)
    assert_same(load_embedding(path), ConceptEmbedding("my dog", {encoder: vectors}))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such embedding.*dog\.safetensors"):
        load_embedding(tmp_path / "dog.safetensors")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(), path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"dog\.safetensors is truncated"):
            load_embedding(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match=r"dog\.safetensors is truncated"):
        load_embedding(path)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_with_a_value_error(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "dog.safetensors"
    save_embedding(small(), path, overwrite=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.sampled_from(b'019"{}[],:-.eE\x00\xff')
        )
    path.write_bytes(content)
    try:
        load_embedding(path)
    except ValueError as error:
        assert "dog" in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        b"<html>Sign in to download this file</html>",
        (2**63).to_bytes(8, "little") + b"{}",
        raw(b"not json"),
        raw(b"\xff\xfe{}"),
        raw(b"[" * 100_000),
        raw([]),
        raw({"clip_l": 1}),
        raw({"clip_l": {"dtype": "F32"}}),
        raw(b'{"clip_l": {"dtype": "F32", "shape": [1e999, 1], "data_offsets": [0, 4]}}'),
        raw({"__metadata__": 1}),
        raw({"clip_l": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 8]}}, bytes(4)),
    ],
)
def test_files_of_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dog.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"dog\.safetensors is truncated or not a safetensors file.*Get the file"
    ):
        load_embedding(path)


@pytest.mark.parametrize(
    ("tensors", "found"),
    [
        ({}, "without tensors"),
        ({"lora_te1_layers_0.lora_down.weight": rows(4, 8)}, "a LoRA"),
        ({"unet.to_k.lora_A.weight": rows(4, 8), "unet.to_k.lora_B.weight": rows(8, 4)}, "a LoRA"),
        ({"model.diffusion_model.out.2.bias": rows(1, 4)}, "a checkpoint"),
        ({"dog": rows(1, 768), "cat": rows(1, 769)}, "'cat', 'dog'"),
        ({"<dog>": rows(1, 10)}, "one tensor '<dog>' of the shape [1, 10]"),
        ({"text_model.final_layer_norm.weight": rows(1, 768)}, "'text_model.final_layer_norm.weight'"),
        ({f"a.{i}": rows(1, 2) for i in range(9)}, "and 5 more"),
        ({"clip_l": torch.ones(1, 1, 768)}, "clip_l has the shape [1, 1, 768]"),
        ({"clip_l": torch.ones(0, 768)}, "clip_l has the shape [0, 768]"),
        ({"clip_l": torch.ones(2000, 8)}, "at most 1024 vectors"),
        ({"clip_l": torch.ones(1, 20_000)}, "a width up to 16384"),
        ({"clip_l": torch.ones(1, 8, dtype=torch.int64)}, "clip_l is I64"),
    ],
)
def test_what_is_not_an_embedding_is_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor], found: str
) -> None:
    path = tmp_path / "dog.safetensors"
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        load_embedding(path)
    assert str(path) in str(error.value) and "not an embedding" in str(error.value)


def test_absurd_sizes_are_refused_before_they_are_allocated(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    size = 2**40
    path.write_bytes(
        raw({"clip_l": {"dtype": "F32", "shape": [size, size], "data_offsets": [0, 4 * size * size]}})
    )
    with pytest.raises(ValueError, match=r"dog\.safetensors is truncated or not a safetensors file"):
        load_embedding(path)


def test_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dog.safetensors"
    safetensors.torch.save_file({"emb_params": torch.full((1, 768), float("nan"))}, path)
    with pytest.raises(ValueError, match="'dog' has NaN"):
        load_embedding(path)


def test_read_header_of_any_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"model.weight": rows(3, 4).half()}, path, {"modelspec.title": "base"})
    header = read_header(path)
    assert header.tensors == {"model.weight": TensorInfo("F16", (3, 4))}
    assert header.metadata == {"modelspec.title": "base"}


# Which model it is for

SDXL = {"clip_l": 768, "clip_g": 1280}


def test_check_widths_accepts_what_fits() -> None:
    check_widths(sdxl(), SDXL)
    check_widths(sdxl(), {"clip_l": 768})


@pytest.mark.parametrize(
    ("vectors", "expected", "message"),
    [
        (
            {"clip_l": 768},
            SDXL,
            r"is for SD1.5 \(clip_l 768\), but this model is SDXL and needs clip_l 768, clip_g",
        ),
        ({"clip_h": 1024}, {"clip_l": 768}, r"is for SD2 \(clip_h 1024\), but this model is SD1.5"),
        (SDXL, {"clip_h": 1024}, "is for SDXL .*but this model is SD2"),
        ({"t5xxl": 4096}, SDXL, "is for a model with T5-XXL"),
        ({"clip_l": 768, "clip_g": 1024}, SDXL, "is for an unknown model"),
    ],
)
def test_check_widths_says_which_model_it_is_for(
    vectors: dict[str, int], expected: dict[str, int], message: str
) -> None:
    embedding = ConceptEmbedding("dog", {key: rows(1, width) for key, width in vectors.items()})
    with pytest.raises(ValueError, match=message):
        check_widths(embedding, expected)
