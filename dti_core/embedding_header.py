"""The header of an embedding file: what the file holds, and whether it can be an embedding at all."""

from __future__ import annotations

import errno
import json
import math
import operator
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SINGLE_KEY = "emb_params"
ENCODER_KEY = re.compile(r"[a-z0-9_]+")
CHECKPOINT_PREFIXES = ("model.", "conditioner.", "cond_stage_model.", "first_stage_model.")

# Which encoder a plain `emb_params` is for.
ENCODER_OF_WIDTH: Mapping[int, str] = {
    768: "clip_l",
    1024: "clip_h",
    1280: "clip_g",
    2304: "gemma2_2b",
    4096: "t5xxl",
}

# Far beyond any embedding (a prompt has 77 tokens, the widest encoder in use 5120), and still small to load.
MAX_VECTORS = 1024
MAX_WIDTH = 16384
MAX_HEADER = 100_000_000  # the format's own limit

ITEM_SIZE: Mapping[str, int] = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}


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


def check_is_embedding(path: Path, header: FileHeader) -> None:
    """Raise ValueError, saying what `path` is instead, unless it has an embedding's tensors, and whole."""
    keys = list(header.tensors)
    single = len(keys) == 1 and keys[0] in {SINGLE_KEY, *ENCODER_OF_WIDTH.values()}
    several = len(keys) > 1 and SINGLE_KEY not in keys and all(ENCODER_KEY.fullmatch(key) for key in keys)
    if not single and not several:
        raise ValueError(
            f"{path} is not an embedding but {_kind(keys)}. An embedding file has one tensor 'emb_params', "
            "or one per text encoder, as 'clip_l' and 'clip_g' of SDXL; choose such a file."
        )
    for key, info in header.tensors.items():
        if len(info.shape) != 2 or not (0 < info.shape[0] <= MAX_VECTORS and 0 < info.shape[1] <= MAX_WIDTH):
            raise ValueError(
                f"{path} is not an embedding: {key} has the shape {list(info.shape)}, not [vectors, width] "
                f"with at most {MAX_VECTORS} vectors of a width up to {MAX_WIDTH}; choose another file."
            )
        if info.dtype not in ITEM_SIZE:
            raise ValueError(
                f"{path} is not an embedding: {key} is {info.dtype}. Vectors are {', '.join(ITEM_SIZE)}; "
                "choose another file."
            )
    size = header.start + sum(math.prod(i.shape) * ITEM_SIZE[i.dtype] for i in header.tensors.values())
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


def _kind(keys: list[str]) -> str:
    if not keys:
        return "a file without tensors"
    if any("lora" in key.lower() for key in keys):
        return "a LoRA (put it into models/loras)"
    if any(key.startswith(CHECKPOINT_PREFIXES) for key in keys):
        return "a checkpoint (put it into models/checkpoints)"
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return f"a file with the tensors {', '.join(map(repr, keys[:4]))}{more}"
