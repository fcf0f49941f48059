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
from torch.nn.functional import pad

from ....dti_core.analysis.token_text import check_known
from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.embedding_file import check_widths, unread_encoders
from ....dti_core.training.backend import Conditioning
from ....dti_core.training.captions import slots
from ....dti_core.vocabulary import Vocabulary
from ...prompt_name import trigger
from ..clip_family import other_family
from ..encoders import list_key, sub_tokenizers, tokenizer_keys
from ..prompt.clip import clip_with_rows
from ..prompt.slots import Slot, Slots
from ..row_scale import row_scale
from .encoded_together import Window, encoded_together

if TYPE_CHECKING:
    from comfy.sd import CLIP

# The name by which a caption calls the concept.
SLOTS = "dti_slots"
NO_ROWS = range(0)
# The host's: by encoder, windows of (token id, tensor or `Slot`; weight).
TokenLists = dict[str, list[list[tuple[Any, float]]]]


def check_fits(clip: CLIP, embedding: ConceptEmbedding, keys: Sequence[str] | None = None) -> None:
    """Raise ValueError where the embedding has no vectors of the right width for an encoder of `clip`.

    keys: of the encoders that it is for; None for all.
    """
    check_widths(embedding, {key: width for key, width in _widths(clip).items() if keys is None or key in keys})


def unread(clip: CLIP, embedding: ConceptEmbedding) -> str:
    """What is odd about the embedding in `clip`: encoders that it lacks, another family; "" for nothing."""
    return " ".join(filter(None, (unread_encoders(embedding, _widths(clip)), other_family(clip, embedding))))


class HostTextEncoder:
    """Encodes through the host's own tokenizer and text encoders, as its CLIPTextEncode does.

    clip: a CLIP whose model is loaded. model: the module to run, `clip.cond_stage_model` or a copy of it.
    device: where the conditioning is wanted; None for where the host puts it, which may be the CPU.
    repeats: whether texts of unequal length are repeated to one length, which changes nothing where they are read by
    cross-attention alone; otherwise they are filled up, and the conditioning says how long each is.

    vocabularies: of the encoders that train; all of them, until `hold` is called.
    """

    def __init__(
        self, clip: CLIP, model: SD1ClipModel, device: torch.device | None = None, repeats: bool = True
    ) -> None:
        self._clip = clip
        self._device = device
        self._model = model
        self._repeats = repeats
        self._tokenizers = sub_tokenizers(clip)
        self._all: Mapping[str, Vocabulary] = {
            key: _vocabulary(key, getattr(model, key), tokenizer) for key, tokenizer in self._tokenizers.items()
        }
        self._scales = {key: row_scale(getattr(model, key)) for key in self._all}
        self.vocabularies: Mapping[str, Vocabulary] = self._all
        self.held: dict[str, Tensor] = {}
        self._held_slots: Mapping[str, Mapping[range, range]] = {}
        self._tokens: dict[tuple[object, ...], TokenLists] = {}

    def hold(self, held: Mapping[str, Tensor], slots: Mapping[str, Mapping[range, range]] | None = None) -> None:
        """Keep these encoders' vectors (`[n, dim]`, by encoder key) as they are, and train the others alone.

        slots: where captions name several concepts by their rows: which of the held ones stand for those.
        """
        self.held, self._held_slots, self._tokens = dict(held), slots or {}, {}
        self.vocabularies = {key: vocabulary for key, vocabulary in self._all.items() if key not in held}

    def with_held(self, vectors: Mapping[str, Tensor], held: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """`vectors` of the encoders that train, with those that are held, in the model's order.

        held: of one concept of several; None for all.
        """
        held = self.held if held is None else held
        return {key: vectors[key] if key in vectors else held[key] for key in self._all}

    def token_ids(self, text: str) -> dict[str, list[int]]:
        """Token ids by encoder key. Raises ValueError where a word is not in the vocabulary."""
        ids = token_ids(self._tokenizers, text)
        return {key: ids[key] for key in self.vocabularies}

    def word_rows(self, text: str) -> dict[str, Tensor]:
        """What the table of every encoder has for `text`, `[n_tokens, dim]` float32 on the CPU."""
        ids = token_ids(self._tokenizers, text)
        return {key: vocabulary.rows(ids[key]).cpu() for key, vocabulary in self._all.items()}

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """See `dti_core.training.backend.TextEncoder`; a caption may do without `{}`. Call inside `differentiable`."""
        vectors = self.with_held(vectors)
        counts = {key: len(value) for key, value in vectors.items()}
        rows = {key: self._as_read(key, value).unbind() for key, value in vectors.items()}
        prompts = [self._tokens_of(caption, counts, rows) for caption in captions]
        options = {} if self._clip.layer_idx is None else {"layer": self._clip.layer_idx}
        self._model.reset_clip_options()
        # Hosts that stream weights need to be told where to compute; older ones ignore the key.
        self._model.set_clip_options({**options, "execution_device": self._clip.patcher.load_device})
        with encoded_together(self._windows(prompts)), _results_on(self._device):
            encoded = [self._model.encode_token_weights(tokens) for tokens in prompts]
        contexts, pooled, *others = zip(*encoded, strict=True)
        text = None if pooled[0] is None else torch.cat(pooled)
        extra = tuple(others[0]) if others and any(others[0]) else ()
        lengths = tuple(context.shape[1] for context in contexts)
        if self._repeats or len(set(lengths)) == 1:
            # Captions beyond 75 tokens come in several windows. Repeating the shorter ones changes nothing in
            # attention, and is how the host brings prompts of unequal length together.
            length = math.lcm(*lengths)
            repeated = [context.repeat(1, length // context.shape[1], 1) for context in contexts]
            return Conditioning(torch.cat(repeated), text, extra)
        filled = [pad(context, (0, 0, 0, max(lengths) - context.shape[1])) for context in contexts]
        return Conditioning(torch.cat(filled), text, extra, lengths)

    def slot_positions(self, caption: str, n_vectors: int) -> dict[str, list[tuple[int, int]]]:
        """Where the concept's vectors stand in the tokens of `caption`, as (window, position), by encoder key."""
        slots = self._slots(caption, dict.fromkeys(self._all, n_vectors))
        return {
            list_key(name, self._all): [
                (window_number, position)
                for window_number, window in enumerate(windows)
                for position, (token, _) in enumerate(window)
                if isinstance(token, Slot)
            ]
            for name, windows in slots.items()
            if list_key(name, self._all) in self._all
        }

    def _as_read(self, key: str, rows: Tensor) -> Tensor:
        scale = self._scales[key]
        return rows if scale == 1 else rows * scale

    def _tokens_of(self, caption: str, counts: Mapping[str, int], rows: Mapping[str, Sequence[Tensor]]) -> TokenLists:
        return {
            name: [
                [(_fill(token, rows.get(list_key(name, rows), ())), weight) for token, weight in window]
                for window in windows
            ]
            for name, windows in self._slots(caption, counts).items()
        }

    def _windows(self, prompts: Sequence[TokenLists]) -> dict[SDClipModel, list[Window]]:
        return {
            getattr(self._model, list_key(name, self._all)): [
                [token for token, _ in window] for tokens in prompts for window in tokens[name]
            ]
            for name in prompts[0]
            if list_key(name, self._all) in self._all
        }

    def _rows_of(self, caption: str, key: str, counts: Mapping[str, int]) -> dict[str, range]:
        """Which of an encoder's rows go into the slots of a caption."""
        if key not in self._held_slots:
            return slots(caption, counts[key])
        held = self._held_slots[key]
        return {slot: held[rows] for slot, rows in slots(caption, counts[next(iter(self.vocabularies))]).items()}

    def _slots(self, caption: str, counts: Mapping[str, int]) -> TokenLists:
        """The caption's tokens with a `Slot` where each vector goes; lists that no encoder reads have none."""
        asked = (caption, *counts.items())
        if asked not in self._tokens:
            wanted = {key: self._rows_of(caption, key, counts) for key in counts}
            clip, text = self._clip, caption
            for number, slot in enumerate(dict.fromkeys(one for by_slot in wanted.values() for one in by_slot)):
                name = f"{SLOTS}_{number}"
                rows = {key: Slots(wanted.get(key, {}).get(slot, NO_ROWS)) for key in tokenizer_keys(clip).values()}
                clip = clip_with_rows(clip, name, rows)
                text = text.replace(slot, trigger(name))
            tokens = clip.tokenize(text)
            for name, windows in tokens.items():
                own = wanted.get(list_key(name, counts), {})
                count = sum(len(rows) * caption.count(slot) for slot, rows in own.items())
                found = sum(isinstance(token, Slot) for window in windows for token, _ in window)
                if found != count:
                    raise RuntimeError(
                        f"The clip's tokenizer for {name} put {found} of {count} vectors of the concept into the "
                        f"caption {caption!r}. Connect the CLIP output of Load Checkpoint, without nodes that change "
                        "how prompts are read."
                    )
            self._tokens[asked] = tokens
        return self._tokens[asked]


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


def _widths(clip: CLIP) -> dict[str, int]:
    model = clip.cond_stage_model
    return {key: _width(getattr(model, key), tokenizer) for key, tokenizer in sub_tokenizers(clip).items()}


def _width(encoder: SDClipModel, tokenizer: SDTokenizer) -> int:
    table = encoder.transformer.get_input_embeddings()
    width: int = tokenizer.embedding_size if getattr(table, "weight", None) is None else table.weight.shape[1]
    return width


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
    # As behind another word: vocabularies that begin words with the space have others at the start of a text.
    ids: list[int] = tokenizer.tokenizer(f" {text.strip()}")["input_ids"][tokenizer.tokens_start : end]
    return ids
