"""A CLIP that knows an embedding which is only in memory."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from pathlib import Path

import folder_paths
from comfy.sd1_clip import SDTokenizer

from ...dti_core.concept_embedding import ConceptEmbedding
from ...dti_core.embedding_file import save_embedding
from ...dti_core.embedding_name import trigger


def clip_with_embedding(clip, embedding: ConceptEmbedding) -> tuple[object, str]:
    """A clone of `clip` whose prompts understand the embedding, and the trigger text for it.

    The embedding is written under a name of its own into the host's temporary folder, and the clone's
    tokenizer, a copy, looks there too. The given CLIP is not touched. The name carries a digest of the
    values: the host searches folders in no fixed order, so it must not exist anywhere else.
    """
    name = f"{embedding.name.rpartition('/')[2]}-{_digest(embedding)}"
    folder = Path(folder_paths.get_temp_directory()) / "dti_embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    save_embedding(dataclasses.replace(embedding, name=name), folder / f"{name}.safetensors", overwrite=True)
    clone = clip.clone()
    clone.tokenizer = copy.copy(clip.tokenizer)
    for key, tokenizer in vars(clip.tokenizer).items():
        if isinstance(tokenizer, SDTokenizer):
            known = copy.copy(tokenizer)
            known.embedding_directory = [*_directories(tokenizer), str(folder)]
            setattr(clone.tokenizer, key, known)
    return clone, trigger(name)


def _directories(tokenizer: SDTokenizer) -> list[str]:
    directory = tokenizer.embedding_directory
    if directory is None:
        return []
    return [directory] if isinstance(directory, str) else list(directory)


def _digest(embedding: ConceptEmbedding) -> str:
    values = b"".join(embedding.vectors[key].numpy().tobytes() for key in sorted(embedding.vectors))
    return hashlib.sha256(values).hexdigest()[:12]
