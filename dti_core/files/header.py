"""The header of a safetensors file: what the file holds, and whether its tensors can be an embedding's."""

from __future__ import annotations

import errno
import json
import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Far beyond any embedding (a prompt has 77 tokens, the widest encoder in use 5120), and still small to load.
MAX_VECTORS = 1024
MAX_WIDTH = 16384
MAX_HEADER = 100_000_000  # the format's own limit

ITEM_SIZE: Mapping[str, int] = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1}
# What may stand beside vectors, as a step counter.
OTHER_SIZE: Mapping[str, int] = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "I64": 8}


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of one tensor; `dtype` in the format's words ("F32", "BF16", ...)."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FileHeader:
    """What a safetensors file says of itself. `start` is where the tensor data begins, in bytes."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    start: int


def read_header(path: str | Path) -> FileHeader:
    """Read the header of a safetensors file of any kind.

    Raises OSError where the file is missing, ValueError where it is truncated or of another format.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such embedding file; choose another", str(path))
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise not_whole(path, f"it has {size} bytes, and no header fits in")
        try:
            return _parsed_header(json.loads(file.read(length)), 8 + length)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise not_whole(path, "its header cannot be read") from error


def is_vectors(info: TensorInfo) -> bool:
    """Whether a tensor can be an embedding's by its type and number of dimensions."""
    return len(info.shape) in (1, 2) and info.dtype in ITEM_SIZE


def check_shapes(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Raise ValueError unless every tensor can be an embedding's: [vectors, width] or one vector [width]."""
    for name, info in tensors.items():
        count, width = (1, *info.shape) if len(info.shape) == 1 else info.shape if len(info.shape) == 2 else (0, 0)
        if not (0 < count <= MAX_VECTORS and 0 < width <= MAX_WIDTH):
            raise ValueError(
                f"{path} is not an embedding: {name} has the shape {list(info.shape)}, not [vectors, width] "
                f"with at most {MAX_VECTORS} vectors of a width up to {MAX_WIDTH}; choose another file."
            )
        if info.dtype not in ITEM_SIZE:
            raise ValueError(
                f"{path} is not an embedding: {name} is {info.dtype}. Vectors are {', '.join(ITEM_SIZE)}; "
                "choose another file."
            )


def check_whole(path: Path, header: FileHeader) -> None:
    """Raise ValueError unless the file is as long as its header says, or has types that are not known here."""
    sizes = {**ITEM_SIZE, **OTHER_SIZE}
    if any(info.dtype not in sizes for info in header.tensors.values()):
        return
    size = header.start + sum(math.prod(info.shape) * sizes[info.dtype] for info in header.tensors.values())
    if path.stat().st_size != size:
        raise not_whole(path, f"it has {path.stat().st_size} bytes and its header speaks of {size}")


def not_whole(path: Path, reason: str) -> ValueError:
    """The error for a file that ends too early or is of another format."""
    return ValueError(
        f"{path} is truncated or not a safetensors file: {reason}. Get the file again, or choose another."
    )


def _parsed_header(entries: dict[str, Any], start: int) -> FileHeader:
    metadata = {str(key): str(value) for key, value in entries.pop("__metadata__", {}).items()}
    tensors = {
        key: TensorInfo(str(entry["dtype"]), tuple(operator.index(length) for length in entry["shape"]))
        for key, entry in entries.items()
    }
    return FileHeader(tensors, metadata, start)
