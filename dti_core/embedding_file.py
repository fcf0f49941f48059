"""Embedding files: safetensors that every tool reads.

A model with one text encoder gets exactly one tensor, `emb_params`; others get one tensor per encoder key,
SDXL exactly `clip_l` and `clip_g`. All of them are [n_vectors, dim] float32. Everything else is header
metadata, because other tools reject files with further tensors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from .concept_embedding import ConceptEmbedding
from .embedding_header import ENCODER_OF_WIDTH, SINGLE_KEY, check_is_embedding, not_whole, read_header
from .modelspec import model_name

ENCODER_NOTE = "dti.encoder"
HASH_NOTE = "modelspec.hash_sha256"


def save_embedding(embedding: ConceptEmbedding, path: str | Path, *, overwrite: bool = False) -> None:
    """Write `embedding` to `path`, whole or not at all; folders on the way are made.

    The same embedding and metadata give the same bytes. An existing file is replaced only with `overwrite`.

    Raises:
        ValueError: `path` does not end in .safetensors.
        FileExistsError: there is such a file, which stays as it was.
        OSError: the disk is full or the folder cannot be written to; no file is left behind.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"cannot save to {path}: the file name has to end in .safetensors.")
    content = _serialized(embedding)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(content, path, overwrite)
    except OSError as error:
        raise _save_error(error, path) from error


def load_embedding(path: str | Path) -> ConceptEmbedding:
    """Read an embedding file; its name is the file's, without folder and extension.

    The header is checked before any tensor is read.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is truncated, not a safetensors file, or not an embedding.
    """
    path = Path(path)
    header = read_header(path)
    check_is_embedding(path, header)
    try:
        tensors = safetensors.torch.load(path.read_bytes())
    except SafetensorError as error:
        raise not_whole(path, str(error)) from error
    metadata = dict(header.metadata)
    if SINGLE_KEY in tensors:
        rows = tensors.pop(SINGLE_KEY)
        tensors[metadata.get(ENCODER_NOTE) or ENCODER_OF_WIDTH.get(rows.shape[1], SINGLE_KEY)] = rows
    for note in ("format", ENCODER_NOTE, HASH_NOTE):
        metadata.pop(note, None)
    return ConceptEmbedding(path.stem, tensors, metadata)


def check_widths(embedding: ConceptEmbedding, expected: Mapping[str, int]) -> None:
    """Raise ValueError unless `embedding` has vectors of the `expected` widths, by a model's encoder keys.

    Further encoders in the embedding are allowed, as the host ignores them.
    """
    widths = embedding.widths
    if all(widths.get(key) == width for key, width in expected.items()):
        return
    raise ValueError(
        f"the embedding {embedding.name!r} is for {model_name(widths)} ({_listed(widths)}), but this model "
        f"is {model_name(expected)} and needs {_listed(expected)}. "
        "Use it with a checkpoint of its own kind, or train the concept again on this one."
    )


def _serialized(embedding: ConceptEmbedding) -> bytes:
    tensors = dict(embedding.vectors)
    metadata = {**embedding.metadata, "format": "pt"}
    if len(tensors) == 1:
        metadata[ENCODER_NOTE], tensors[SINGLE_KEY] = tensors.popitem()
    plain = safetensors.torch.save(tensors)
    start = 8 + int.from_bytes(plain[:8], "little")
    metadata[HASH_NOTE] = "0x" + hashlib.sha256(plain[start:]).hexdigest()
    # The library writes metadata in a random order; sorted, equal embeddings are equal files.
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(plain[8:start])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + plain[start:]


def _write_whole(content: bytes, path: Path, overwrite: bool) -> None:
    temporary = path.with_name(f".dti-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _move_to_new(temporary: Path, path: Path) -> None:
    # Of two runs that save under one name at the same time, one creates the file and the other fails here.
    path.touch(exist_ok=False)
    try:
        os.replace(temporary, path)
    except BaseException:
        path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    # Makes the new name survive a power cut. Windows and some network drives cannot do this to a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _save_error(error: OSError, path: Path) -> OSError:
    if error.errno == errno.EEXIST and path.is_file():
        advice = "an embedding of this name exists and was kept; choose another name or allow overwriting"
    else:
        advice = f"the embedding was not saved ({error.strerror}); free some space or choose another folder"
    return OSError(error.errno, advice, str(path))


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {width}" for key, width in widths.items())
