"""Embedding files: safetensors that every tool reads, and a reader for what every tool writes.

A model with one text encoder gets exactly one tensor, `emb_params`; others get one tensor per encoder key,
SDXL exactly `clip_l` and `clip_g`. All of them are [n_vectors, dim] float32. Everything else is header
metadata, because other tools reject files with further tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..embedding import ConceptEmbedding
from .atomic_write import write_together, write_whole
from .diffusers_pair import FIRST, SECOND, files_of
from .file_kind import check_kind, is_safetensors
from .formats import ENCODER_NOTE, PLACEHOLDER_NOTE, SINGLE_KEY, recognize
from .header import MAX_VECTORS, FileHeader, check_shapes, not_whole, read_header
from .modelspec import model_name
from .parts import is_bundle
from .pickle_file import read_pickle, tensor_info

HASH_NOTE = "modelspec.hash_sha256"
FORMAT_NOTE = "dti.format"  # in every file of ours, so that it is known for one


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
    write_whole(_serialized(embedding, SINGLE_KEY), path, overwrite)


def save_diffusers_pair(
    embedding: ConceptEmbedding, folder: str | Path, *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write what diffusers' `load_textual_inversion` reads: per encoder a file with one tensor, named `<name>`.

    CLIP-L goes to learned_embeds.safetensors, CLIP-G to learned_embeds_2.safetensors (as in diffusers'
    textual_inversion_sdxl.py and kunheek/dti); an embedding of one encoder is the first file alone.

    Returns the paths. Raises as `save_embedding`, and ValueError for an embedding of other encoders.
    """
    keys = list(embedding.vectors) if len(embedding.vectors) == 1 else ["clip_l", "clip_g"]
    if set(keys) != set(embedding.vectors):
        raise ValueError(
            f"the embedding {embedding.name!r} is for {', '.join(embedding.vectors)}, and diffusers' pair of files is "
            "for clip_l and clip_g (SDXL), or one encoder; save it in this package's own format."
        )
    word, notes = f"<{embedding.name.rpartition('/')[2]}>", embedding.metadata
    contents = {
        Path(folder) / name: _serialized(ConceptEmbedding(embedding.name, {key: embedding.vectors[key]}, notes), word)
        for key, name in zip(keys, (FIRST, SECOND), strict=False)
    }
    write_together(contents, overwrite)
    return tuple(contents)


def load_embedding(path: str | Path, part: str = "") -> ConceptEmbedding:
    """Read an embedding file of any format of `dti_core.files.formats`; its name is the file's, without folder.

    Of a `learned_embeds` pair either file loads both. All is checked before it is unpacked, and the tensors
    of files with `dti.*` notes against the header's checksum. One-dimensional tensors are one vector.

    Args:
        part: which embedding to take of a file that carries several: by its name in a LoRA, the number or name
            of a snapshot, or one of several tokens.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is damaged, not an embedding, has values that are not finite or vectors of norm zero.
    """
    files = files_of(Path(path))
    vectors, metadata = _read(files[0], part)
    if len(files) == 2:
        second, notes = _read(files[1], part)
        _check_halves(files, [vectors, second], [metadata.get(PLACEHOLDER_NOTE), notes.get(PLACEHOLDER_NOTE)])
        vectors, metadata = {**vectors, **second}, {**metadata, **notes}
    # CLIP-L before CLIP-G, in whatever order the file has them.
    narrow_first = dict(sorted(vectors.items(), key=lambda item: item[1].shape[-1]))
    embedding = ConceptEmbedding(files[0].stem, narrow_first, metadata)
    _check_vectors(files[0], embedding)
    return embedding


def check_widths(embedding: ConceptEmbedding, expected: Mapping[str, int]) -> None:
    """Raise ValueError unless `embedding` has vectors of the `expected` widths, by a model's encoder keys.

    Further encoders in the embedding are allowed, as the host ignores them; `unread_encoders` names them.
    """
    widths = embedding.widths
    if all(widths.get(key) == width for key, width in expected.items()):
        return
    raise ValueError(
        f"the embedding {embedding.name!r} is for {model_name(widths)} ({_listed(widths)}), but this model "
        f"is {model_name(expected)} and needs {_listed(expected)}. "
        "Use it with a checkpoint of its own kind, or train the concept again on this one."
    )


def unread_encoders(embedding: ConceptEmbedding, expected: Collection[str]) -> str:
    """A sentence on encoders of `embedding` that a model with the `expected` ones does not have; "" without any."""
    unread = [key for key in embedding.vectors if key not in expected]
    if not unread:
        return ""
    return (
        f"The vectors for {', '.join(unread)} in {embedding.name!r} are kept as they are and not used: this model "
        f"reads {', '.join(expected)}."
    )


def _serialized(embedding: ConceptEmbedding, single_key: str) -> bytes:
    """The bytes of a safetensors file; the tensor of a single encoder is called `single_key`."""
    tensors = dict(embedding.vectors)
    metadata = {**embedding.metadata, "format": "pt", FORMAT_NOTE: "1"}
    if len(tensors) == 1:
        metadata[ENCODER_NOTE], tensors[single_key] = tensors.popitem()
    plain = safetensors.torch.save(tensors)
    start = 8 + int.from_bytes(plain[:8], "little")
    metadata[HASH_NOTE] = _digest(plain[start:])
    # The library writes metadata in a random order; sorted, equal embeddings are equal files.
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(plain[8:start])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + plain[start:]


def _read(path: Path, part: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by encoder key, and header metadata, of one file."""
    check_kind(path)
    if is_safetensors(path):
        return _read_safetensors(path, part)
    tensors, notes = read_pickle(path)
    infos = {name: tensor_info(tensor) for name, tensor in tensors.items()}
    layout = recognize(path, infos, notes, part)
    check_shapes(path, {name: infos[name] for names in layout.tensors.values() for name in names})
    vectors = {key: _joined([tensors[name] for name in names]) for key, names in layout.tensors.items()}
    return vectors, {**notes, **layout.notes}


def _read_safetensors(path: Path, part: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    header = read_header(path)
    layout = recognize(path, header.tensors, header.metadata, part)
    used = [name for names in layout.tensors.values() for name in names]
    check_shapes(path, {name: header.tensors[name] for name in used})
    if not is_bundle(header.tensors):
        # A LoRA is large, and what else is in it is no matter of ours.
        _check_digest(path, header)
    try:
        with safe_open(path, "pt") as file:
            found = {key: [file.get_tensor(name) for name in names] for key, names in layout.tensors.items()}
    except SafetensorError as error:
        raise not_whole(path, str(error)) from error
    own = {"format", FORMAT_NOTE, ENCODER_NOTE, HASH_NOTE}
    vectors = {key: _joined(tensors) for key, tensors in found.items()}
    return vectors, {key: value for key, value in {**header.metadata, **layout.notes}.items() if key not in own}


def _check_halves(files: Sequence[Path], halves: Sequence[Mapping[str, Tensor]], words: Sequence[str | None]) -> None:
    keys = [key for half in halves for key in half]
    if len(set(keys)) != 2 or len(keys) != 2 or words[0] != words[1]:
        raise ValueError(
            f"{files[0]} and {files[1].name} are not two halves of one embedding: they are for {', '.join(keys)} "
            f"and named {words[0]!r} and {words[1]!r}. Put each into a folder of its own."
        )


def _check_digest(path: Path, header: FileHeader) -> None:
    # A file of ours always has a checksum; without it, the header is what was damaged. Others may count differently.
    ours = any(key.startswith("dti.") for key in header.metadata)
    noted = header.metadata.get(HASH_NOTE, "")
    if ours and noted.lower() != _digest(_tensor_bytes(path)):
        raise ValueError(
            f"{path} is damaged: its tensors do not have the checksum that its header gives. "
            "Get the file again, or choose another."
        )


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """One encoder's rows [n_vectors, dim] float32, of tensors [n, dim] or [dim]."""
    return torch.cat([tensor.float().reshape(-1, tensor.shape[-1]) for tensor in tensors])


def _check_vectors(path: Path, embedding: ConceptEmbedding) -> None:
    for key, norms in embedding.norms().items():
        if len(norms) > MAX_VECTORS:
            raise ValueError(
                f"{path} is not an embedding: it has {len(norms)} vectors for {key}, and at most {MAX_VECTORS} are "
                "read; choose another file."
            )
        zero = (norms == 0).nonzero().flatten().tolist()
        if zero:
            raise ValueError(
                f"{path} has zeros only in vector {', '.join(map(str, zero))} of {key}, which says nothing; "
                "the run it comes from is broken, choose another file."
            )


def _tensor_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def _digest(data: bytes) -> str:
    return "0x" + hashlib.sha256(data).hexdigest()


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {width}" for key, width in widths.items())
