"""Embeddings in torch's own files (.pt, .bin), read without running what is in them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .header import TensorInfo
from .parts import list_entry

# Far beyond any embedding: 1024 vectors of a width of 16384 in float32.
MAX_BYTES = 64 * 2**20
MAX_MEMBERS = 256

DTYPES: Mapping[torch.dtype, str] = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}

# How torch's files begin: a zip archive, or, before 1.6, pickles one behind another.
ZIP = b"PK\x03\x04"
OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

# Holds tensors only; the first textual inversions were saved in one.
ALLOWED: Sequence[type] = [torch.nn.ParameterDict]

# What A1111 writes beside the vectors.
SOURCE_NOTES = ("name", "step", "sd_checkpoint", "sd_checkpoint_name")


def read_pickle(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and notes of the tool that wrote them.

    The one in `string_to_param` is `string_to_param.*`; entries of a list are named by
    `dti_core.files.parts.list_entry`. Archive and checksums are looked at before anything is unpacked;
    torch.load runs with weights_only.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is not torch's format, damaged, too large, holds code or holds no tensors by name.
    """
    if path.stat().st_size > MAX_BYTES:
        raise _unreadable(path, f"it has {path.stat().st_size} bytes, more than any embedding")
    data = path.read_bytes()
    # Before 1.6 a storage's size stood in no directory.
    sizes = range(len(data)) if data.startswith(OLD) else _checked_archive(path, data)
    content = _loaded(path, data)
    tensors = _tensors(path, content)
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor, sizes)
    known = content if isinstance(content, dict) else {}
    notes = {f"source.{key}": str(known[key]) for key in SOURCE_NOTES if isinstance(known.get(key), str | int)}
    return tensors, notes


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    if isinstance(content, list | tuple):
        found = {}
        for number, entry in enumerate(content, start=1):
            own = {"emb_params": entry} if isinstance(entry, Tensor) else _named_tensors(entry)
            found.update({list_entry(number, name): tensor.detach() for name, tensor in own.items()})
        if not found:
            raise _unreadable(path, f"it holds a {type(content).__name__} without tensors")
        return found
    entries = _mapping(content)
    if entries is None:
        raise _unreadable(path, f"it holds a {type(content).__name__}, not a mapping of tensors")
    params = _mapping(entries.get("string_to_param"))
    if params is None:
        found = _named_tensors(entries)
    else:
        # A1111 reads nothing else where it finds this.
        found = _named_tensors(params)
        if not found:
            raise _unreadable(path, "its string_to_param holds 0 tensors")
        if len(found) == 1:
            found = {"string_to_param.*": next(iter(found.values()))}
    if not found:
        keys = ", ".join(repr(key)[:40] for key in list(entries)[:4]) or "nothing"
        raise _unreadable(path, f"it holds {keys} and no tensors")
    return found


def _mapping(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, torch.nn.ParameterDict):
        # Where it was saved before torch 1.12, nothing else of it is as it is now.
        return dict(vars(value).get("_parameters", {}))
    return value if isinstance(value, dict) else None


def _named_tensors(value: Any) -> dict[str, Tensor]:
    entries = _mapping(value) or {}
    return {str(name): tensor.detach() for name, tensor in entries.items() if isinstance(tensor, Tensor)}


def tensor_info(tensor: Tensor) -> TensorInfo:
    """Type and shape in the words of a safetensors header."""
    return TensorInfo(DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))


def _checked_archive(path: Path, data: bytes) -> set[int]:
    """Sizes of the archive's members, all checksums compared, nothing larger than MAX_BYTES unpacked."""
    if not data.startswith(ZIP):
        raise _unreadable(path, "it is neither a zip file nor of torch's older format")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            reason = _objection(members) or _damage(archive)
    # Damaged archives make zipfile raise many kinds of error; a stranger's bytes are no reason to stop the host.
    except Exception as error:
        raise _unreadable(path, f"it is a damaged zip file ({error})") from error
    if reason is not None:
        raise _unreadable(path, reason)
    return {member.file_size for member in members}


def _objection(members: list[zipfile.ZipInfo]) -> str | None:
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
        return "unpacked it would be larger than any embedding"
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        return "it is compressed, and torch writes no such files"
    return None


def _damage(archive: zipfile.ZipFile) -> str | None:
    # torch does not compare checksums, and can be told to write none.
    if not any(member.CRC for member in archive.infolist()):
        return None
    damaged = archive.testzip()
    return None if damaged is None else f"{damaged!r} in it is damaged (wrong checksum)"


def _loaded(path: Path, data: bytes) -> Any:
    try:
        with _allowing(ALLOWED):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # Of an unpickler as of zipfile: any kind of error can come of a stranger's bytes.
    except Exception as error:
        code = re.search(r"GLOBAL (\w[\w.]*)", str(error))
        if code:
            raise ValueError(
                f"{path} was not loaded: it holds code or objects ({code[1]}), not tensors only, and opening it "
                "could run what a stranger wrote. Get it as .safetensors, or choose another file."
            ) from error
        # Torch's advice, to load it with less care, is left out.
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition(chr(10))[0]
        raise _unreadable(path, f"torch cannot read it ({reason[:200]})") from error


def _allowing(types: Sequence[type]) -> AbstractContextManager[None]:
    # From torch 2.5 on.
    allow = getattr(torch.serialization, "safe_globals", None)
    return nullcontext() if allow is None else cast("AbstractContextManager[None]", allow(list(types)))


def _check_plain(path: Path, name: str, tensor: Tensor, sizes: Container[int]) -> None:
    """Refuse tensors without values of their own, or with more than the archive has for them."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.untyped_storage().nbytes() not in sizes:
        raise _unreadable(path, f"its tensor {name!r} is no plain tensor")


def _unreadable(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} cannot be read as an embedding: {reason}. "
        "Get the file again, as .safetensors if you can, or choose another."
    )
