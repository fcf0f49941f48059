"""Files that are either whole or not there, and the training state kept in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a file beside `path`, flushes it to the disk, and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda partial: save_file(whole, partial, metadata={"format": "pt", **metadata}))


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Everything a stopped training needs to go on; read it back with load_state."""
    write_whole(path, lambda partial: torch.save(state, partial))


def load_state(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, map_location="cpu", weights_only=True))
