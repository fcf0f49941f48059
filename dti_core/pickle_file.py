"""Embeddings in torch's zip files (.pt, .bin), read without running what is in them."""

from __future__ import annotations

import errno
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .embedding_header import TensorInfo

# Far beyond any embedding: 1024 vectors of a width of 16384 in float32.
MAX_BYTES = 64 * 2**20
MAX_MEMBERS = 256

DTYPES: Mapping[torch.dtype, str] = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}

# What A1111 writes beside the vectors.
SOURCE_NOTES = ("name", "step", "sd_checkpoint", "sd_checkpoint_name")


def read_pickle(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, those in `string_to_param` as `string_to_param.*`, and notes of the tool that wrote them.

    Archive and checksums are looked at before anything is unpacked; torch.load runs with weights_only.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is not torch's zip format, damaged, too large, holds code or holds no mapping of tensors.
    """
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such embedding file; choose another", str(path))
    if path.stat().st_size > MAX_BYTES:
        raise _unreadable(path, f"it has {path.stat().st_size} bytes, more than any embedding")
    data = path.read_bytes()
    sizes = _checked_archive(path, data)
    content = _loaded(path, data)
    if not isinstance(content, dict):
        raise _unreadable(path, f"it holds a {type(content).__name__}, not a mapping of tensors")
    tensors = {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}
    params = content.get("string_to_param")
    if isinstance(params, dict):
        found = [value.detach() for value in params.values() if isinstance(value, Tensor)]
        if len(found) != 1:
            raise _unreadable(path, f"its string_to_param holds {len(found)} tensors, not 1")
        # A1111 reads nothing else where it finds this.
        tensors = {"string_to_param.*": found[0]}
    if not tensors:
        keys = ", ".join(repr(key)[:40] for key in list(content)[:4]) or "nothing"
        raise _unreadable(path, f"it holds {keys} and no tensors")
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor, sizes)
    notes = {f"source.{key}": str(content[key]) for key in SOURCE_NOTES if isinstance(content.get(key), str | int)}
    return tensors, notes


def tensor_info(tensor: Tensor) -> TensorInfo:
    """Type and shape in the words of a safetensors header."""
    return TensorInfo(DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))


def _checked_archive(path: Path, data: bytes) -> set[int]:
    """Sizes of the archive's members, all checksums compared, nothing larger than MAX_BYTES unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            reason = _objection(members) or _damage(archive)
    # Damaged archives make zipfile raise many kinds of error; a stranger's bytes are no reason to stop the host.
    except Exception as error:
        raise _unreadable(path, f"it is not a zip file, or damaged ({error})") from error
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
    # torch does not compare checksums.
    damaged = archive.testzip()
    return None if damaged is None else f"{damaged!r} in it is damaged (wrong checksum)"


def _loaded(path: Path, data: bytes) -> Any:
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # Of an unpickler as of zipfile: any kind of error can come of a stranger's bytes.
    except Exception as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise ValueError(
                f"{path} was not loaded: it holds code or objects ({code[1]}), not tensors only, and opening it "
                "could run what a stranger wrote. Get it as .safetensors, or choose another file."
            ) from error
        raise _unreadable(path, f"torch cannot read it ({str(error).strip().partition(chr(10))[0][:200]})") from error


def _check_plain(path: Path, name: str, tensor: Tensor, sizes: set[int]) -> None:
    """Refuse tensors without values of their own, or with more than the archive has for them."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.untyped_storage().nbytes() not in sizes:
        raise _unreadable(path, f"its tensor {name!r} is no plain tensor")


def _unreadable(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} cannot be read as an embedding: {reason}. "
        "Get the file again, as .safetensors if you can, or choose another."
    )
