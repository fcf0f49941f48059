"""The host's CLIP as dti_core's TextEncoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management
import torch
from comfy.sd1_clip import SD1ClipModel, SDClipModel, SDTokenizer
from torch import Tensor

from ....dti_core.analysis.token_text import check_known
from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.embedding_file import check_widths, unread_encoders
from ....dti_core.training.backend import Conditioning
from ....dti_core.training.captions import slots
from ....dti_core.vocabulary import Vocabulary
from ...prompt_name import trigger
from ..prompt.clip import clip_with_rows
from ..prompt.slots import Slot, Slots
from .encoded_together import Window, encoded_together

if TYPE_CHECKING:
    from comfy.sd import CLIP

# The name by which a caption calls the concept.
SLOTS = "dti_slots"
# The host's: by encoder, windows of (token id, tensor or `Slot`; weight).
TokenLists = dict[str, list[list[tuple[Any, float]]]]


def sub_tokenizers(clip: CLIP) -> dict[str, SDTokenizer]:
    """The tokenizer of every text encoder of a CLIP by encoder key ("clip_l", "clip_g", ...).

    A family may share a tokenizer of more encoders than a model has: SDXL's refiner has no "clip_l".
    """
    return {
        key: tokenizer
        for key, tokenizer in vars(clip.tokenizer).items()
        if isinstance(tokenizer, SDTokenizer) and getattr(clip.cond_stage_model, key, None) is not None
    }


def check_fits(clip: CLIP, embedding: ConceptEmbedding) -> None:
    """Raise ValueError where the embedding has no vectors of the right width for an encoder of `clip`."""
    check_widths(embedding, _widths(clip))


def unread(clip: CLIP, embedding: ConceptEmbedding) -> str:
    """A sentence on encoders that the embedding has and `clip` lacks; "" without any."""
    return unread_encoders(embedding, _widths(clip))


class HostTextEncoder:
    """Encodes through the host's own tokenizer and text encoders, as its CLIPTextEncode does.

    clip: a CLIP whose model is loaded. model: the module to run, `clip.cond_stage_model` or a copy of it.
    device: where the conditioning is wanted; None for where the host puts it, which may be the CPU.
    """

    def __init__(self, clip: CLIP, model: SD1ClipModel, device: torch.device | None = None) -> None:
        self._clip = clip
        self._device = device
        self._model = model
        self._tokenizers = sub_tokenizers(clip)
        self.vocabularies: Mapping[str, Vocabulary] = {
            key: _vocabulary(key, getattr(model, key), tokenizer) for key, tokenizer in self._tokenizers.items()
        }
        self._tokens: dict[tuple[str, int], TokenLists] = {}

    def token_ids(self, text: str) -> dict[str, list[int]]:
        """Token ids by encoder key. Raises ValueError where a word is not in the vocabulary."""
        return token_ids(self._tokenizers, text)

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """See `dti_core.training.backend.TextEncoder`; a caption may do without `{}`. Call inside `differentiable`."""
        n_vectors = len(next(iter(vectors.values())))
        rows = {key: value.unbind() for key, value in vectors.items()}
        prompts = [self._tokens_of(caption, n_vectors, rows) for caption in captions]
        options = {} if self._clip.layer_idx is None else {"layer": self._clip.layer_idx}
        self._model.reset_clip_options()
        # Hosts that stream weights need to be told where to compute; older ones ignore the key.
        self._model.set_clip_options({**options, "execution_device": self._clip.patcher.load_device})
        with encoded_together(self._windows(prompts)), _results_on(self._device):
            contexts, pooled = zip(*(self._model.encode_token_weights(tokens)[:2] for tokens in prompts), strict=True)
        # Captions beyond 75 tokens come in several windows. Repeating the shorter ones changes nothing in
        # attention, and is how the host brings prompts of unequal length together.
        length = math.lcm(*(context.shape[1] for context in contexts))
        repeated = [context.repeat(1, length // context.shape[1], 1) for context in contexts]
        return Conditioning(torch.cat(repeated), None if pooled[0] is None else torch.cat(pooled))

    def slot_positions(self, caption: str, n_vectors: int) -> dict[str, list[tuple[int, int]]]:
        """Where the concept's vectors stand in the tokens of `caption`, as (window, position), by encoder key."""
        return {
            _encoder_key(name, self.vocabularies): [
                (window_number, position)
                for window_number, window in enumerate(windows)
                for position, (token, _) in enumerate(window)
                if isinstance(token, Slot)
            ]
            for name, windows in self._slots(caption, n_vectors).items()
        }

    def _tokens_of(self, caption: str, n_vectors: int, rows: Mapping[str, Sequence[Tensor]]) -> TokenLists:
        return {
            name: [
                [(_fill(token, rows[_encoder_key(name, rows)]), weight) for token, weight in window]
                for window in windows
            ]
            for name, windows in self._slots(caption, n_vectors).items()
        }

    def _windows(self, prompts: Sequence[TokenLists]) -> dict[SDClipModel, list[Window]]:
        return {
            getattr(self._model, _encoder_key(name, self.vocabularies)): [
                [token for token, _ in window] for tokens in prompts for window in tokens[name]
            ]
            for name in prompts[0]
        }

    def _slots(self, caption: str, n_vectors: int) -> TokenLists:
        """The caption's tokens with a `Slot` where each vector goes."""
        if (caption, n_vectors) not in self._tokens:
            known = self.vocabularies
            wanted, clip, text = slots(caption, n_vectors), self._clip, caption
            for slot, rows in wanted.items():
                name = f"{SLOTS}_{rows.start}_{rows.stop}"
                clip = clip_with_rows(clip, name, dict.fromkeys(self._tokenizers, Slots(rows)))
                text = text.replace(slot, trigger(name))
            count = sum(len(rows) * caption.count(slot) for slot, rows in wanted.items())
            tokens = clip.tokenize(text)
            tokens = {name: windows for name, windows in tokens.items() if _encoder_key(name, known) in known}
            for name, windows in tokens.items():
                found = sum(isinstance(token, Slot) for window in windows for token, _ in window)
                if found != count:
                    raise RuntimeError(
                        f"The clip's tokenizer for {name} put {found} of {count} vectors of the concept into the "
                        f"caption {caption!r}. Connect the CLIP output of Load Checkpoint, without nodes that change "
                        "how prompts are read."
                    )
            self._tokens[caption, n_vectors] = tokens
        return self._tokens[caption, n_vectors]


@contextmanager
def _results_on(device: torch.device | None) -> Iterator[None]:
    """Let the host leave its results on `device`; it would bring them to the CPU, and wait for them."""
    management = comfy.model_management
    before = management.intermediate_device
    if device is not None:
        management.intermediate_device = lambda: device
    try:
        yield
    finally:
        management.intermediate_device = before


def _fill(token: int | Tensor | Slot, rows: Sequence[Tensor]) -> int | Tensor:
    return rows[token.row] if isinstance(token, Slot) else token


def _encoder_key(name: str, vectors: Mapping[str, object]) -> str:
    """The host names CLIP's token lists "l" and "g" where the encoders are "clip_l" and "clip_g"."""
    return name if name in vectors else f"clip_{name}"


def _widths(clip: CLIP) -> dict[str, int]:
    return {key: tokenizer.embedding_size for key, tokenizer in sub_tokenizers(clip).items()}


def _vocabulary(key: str, encoder: SDClipModel, tokenizer: SDTokenizer) -> Vocabulary:
    table = encoder.transformer.get_input_embeddings()
    if getattr(table, "weight", None) is None:
        raise ValueError(
            f"The text encoder {key} has no table of token embeddings, so no embedding can be trained for it. "
            "DTI trains encoders that look tokens up in a table, such as SDXL's CLIP-L and CLIP-G."
        )
    special = frozenset(i for i in encoder.special_tokens.values() if isinstance(i, int))
    return Vocabulary(table.weight, special, tokenizer.inv_vocab)


def token_ids(tokenizers: Mapping[str, SDTokenizer], text: str) -> dict[str, list[int]]:
    """Token ids by encoder key. Raises ValueError where a word is not in the vocabulary."""
    ids = {key: _token_ids(tokenizer, text) for key, tokenizer in tokenizers.items()}
    for key, tokenizer in tokenizers.items():
        check_known(text, [tokenizer.inv_vocab[i] for i in ids[key]])
    return ids


def _token_ids(tokenizer: SDTokenizer, text: str) -> list[int]:
    end = -1 if tokenizer.tokenizer_adds_end_token else None
    ids: list[int] = tokenizer.tokenizer(text)["input_ids"][tokenizer.tokens_start : end]
    return ids
