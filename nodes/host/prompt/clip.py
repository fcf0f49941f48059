"""A CLIP that knows an embedding which is only in memory."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from comfy.sd1_clip import SDTokenizer

from ....dti_core.embedding import ConceptEmbedding
from ...prompt_name import trigger
from ..encoders import tokenizer_keys
from ..row_scale import row_scales

if TYPE_CHECKING:
    from comfy.sd import CLIP


class Rows(Protocol):
    """What the host's tokenizer takes for an embedding: it counts rows by the shape and puts each into its tokens."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, row: int) -> object: ...


def clip_with_embedding(clip: CLIP, embedding: ConceptEmbedding) -> tuple[CLIP, str]:
    """A clone of `clip` whose prompts understand the embedding, and the trigger text for it.

    Nothing is written to disk. The name carries a digest of the values: so it hides no file, and of two
    embeddings that are called alike each keeps its own.
    """
    name = f"{embedding.name.rpartition('/')[2]}-{_digest(embedding)}"
    scales = row_scales(clip)
    with torch.inference_mode(False):  # a training may meet them in its captions
        rows = {key: vectors * scales.get(key, 1.0) for key, vectors in embedding.vectors.items()}
    return clip_with_rows(clip, name, rows), trigger(name)


def clip_with_rows(clip: CLIP, name: str, rows: Mapping[str, Rows]) -> CLIP:
    """A clone of `clip` to whose prompts `embedding:name` means `rows[key]` in the encoder `key`.

    The clone has a copy of the tokenizer, and what is cloned from it keeps that one; the given CLIP is not touched.
    """
    clone = clip.clone()
    clone.tokenizer = copy.copy(clip.tokenizer)
    for attribute, key in tokenizer_keys(clip).items():
        if key in rows:  # a refiner has one that no encoder hears
            setattr(clone.tokenizer, attribute, _knowing(getattr(clip.tokenizer, attribute), name, rows[key]))
    return clone


class _Knowing:
    """Before the class of a host's tokenizer: finds embeddings in memory where the host looks for files."""

    dti_known: Mapping[str, Rows]

    def _try_get_embedding(self, embedding_name: str) -> tuple[Any, ...]:
        # Newer hosts also return the name that they looked for.
        found, *looked_for, leftover = super()._try_get_embedding(embedding_name)  # type: ignore[misc]
        name = looked_for[0] if looked_for else embedding_name.split()[0]
        known = self.dti_known.get(name, self.dti_known.get(name.strip(",")))
        return (found if known is None else known, *looked_for, leftover)


def _knowing(tokenizer: SDTokenizer, name: str, rows: Rows) -> SDTokenizer:
    kind: Any = type(tokenizer)
    if not issubclass(kind, _Knowing):
        kind = type(kind.__name__, (_Knowing, kind), {})
    copied = kind.__new__(kind)
    vars(copied).update(vars(tokenizer))
    copied.dti_known = {**getattr(tokenizer, "dti_known", {}), name: rows}
    if copied.embedding_directory is None:
        copied.embedding_directory = []  # without any, the host does not even look
    return copied


def _digest(embedding: ConceptEmbedding) -> str:
    values = b"".join(embedding.vectors[key].numpy().tobytes() for key in sorted(embedding.vectors))
    return hashlib.sha256(values).hexdigest()[:12]
