"""The header of a safetensors file: what the file holds, and whether its tensors can be an embedding's."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

# Far beyond any embedding (a prompt has 77 tokens, the widest encoder in use 5120), and still small to load.
MAX_VECTORS = 1024
MAX_WIDTH = 16384

DTYPES = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of one tensor; `dtype` in the format's words ("F32", "BF16", ...)."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FileHeader:
    """What a safetensors file says of itself."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: str | Path) -> FileHeader:
    """Read the header of a safetensors file of any kind.

    Raises OSError where the file is missing, ValueError where it is truncated or of another format.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such embedding file; choose another", str(path))
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}
            tensors = {name: TensorInfo(s.get_dtype(), tuple(s.get_shape())) for name, s in slices.items()}
            return FileHeader(tensors, dict(sorted((file.metadata() or {}).items())))
    except (SafetensorError, OSError) as error:
        raise not_whole(path, str(error)) from error


def is_vectors(info: TensorInfo) -> bool:
    """Whether a tensor can be an embedding's by its type and number of dimensions."""
    return len(info.shape) in (1, 2) and info.dtype in DTYPES


def check_shapes(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Raise ValueError unless every tensor can be an embedding's: [vectors, width] or one vector [width]."""
    for name, info in tensors.items():
        count, width = (1, *info.shape) if len(info.shape) == 1 else info.shape if len(info.shape) == 2 else (0, 0)
        if not (0 < count <= MAX_VECTORS and 0 < width <= MAX_WIDTH):
            raise ValueError(
                f"{path} is not an embedding: {name} has the shape {list(info.shape)}, not [vectors, width] "
                f"with at most {MAX_VECTORS} vectors of a width up to {MAX_WIDTH}; choose another file."
            )
        if info.dtype not in DTYPES:
            raise ValueError(
                f"{path} is not an embedding: {name} is {info.dtype}. Vectors are {', '.join(DTYPES)}; "
                "choose another file."
            )


def not_whole(path: Path, reason: str) -> ValueError:
    """The error for a file that ends too early or is of another format."""
    return ValueError(
        f"{path} is truncated or not a safetensors file: {reason}. Get the file again, or choose another."
    )
