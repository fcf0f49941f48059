"""The pipeline's Gemma 2 as dti_core's TextEncoder."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...training.backend import Conditioning
from ...training.captions import SLOT, slots
from ...vocabulary import Vocabulary

if TYPE_CHECKING:
    from diffusers import SanaPipeline

# As ComfyUI has it.
KEY = "gemma2_2b"
# Where one of the concept's vectors goes: a character for private use, which no prompt has.
MARK = "\ue000"


class PipelineTextEncoder:
    """Encodes as the pipeline's `encode_prompt` does with the concept's vectors in its table, each a token of its own.

    instruction: the lines that the pipeline puts before a prompt (its `complex_human_instruction`): None for those it
        samples with, where nothing else is asked for; none for the bare prompt, which the reference trains with.

    Vectors are as rows of the table are; the model itself makes both longer. Of zeros there may be some in front of a
    caption. What lies behind a caption is left out: no token before it reads that, and the transformer does not either.
    """

    def __init__(self, pipe: SanaPipeline, instruction: Sequence[str] | None = None) -> None:
        defaults = inspect.signature(pipe.__call__).parameters
        lines = defaults["complex_human_instruction"].default if instruction is None else instruction
        self._model: Any = pipe.text_encoder
        self._tokenizer: Any = copy.deepcopy(pipe.tokenizer)
        self.vocabularies: Mapping[str, Vocabulary] = {KEY: _vocabulary(pipe.tokenizer, self._model)}
        self.notes: Mapping[str, str] = {
            "dti.rows": "token table",
            "dti.instruction": "as the pipeline's" if instruction is None else "another" if lines else "none",
        }
        self._tokenizer.add_tokens([MARK])
        self._mark = self._tokenizer.convert_tokens_to_ids(MARK)
        # The concept's vectors, as if they were rows behind all of the table's.
        self._end = max(len(self._tokenizer), len(self._model.get_input_embeddings().weight))
        self._instruction = "\n".join(lines or ())
        # The pipeline hands on the first token, and what follows all but the last one of the instruction.
        self._first = max(1, len(self._tokenizer(self._instruction).input_ids) - 1)
        self._most: int = self._first + defaults["max_sequence_length"].default - 1

    def token_ids(self, text: str) -> dict[str, list[int]]:
        """Token ids of `text`, as behind another word: at the start of a prompt words have other ones."""
        return {KEY: list(self._tokenizer(f" {text.lower().strip()}", add_special_tokens=False).input_ids)}

    def check_caption(self, caption: str, n_vectors: int) -> None:
        """Raise ValueError where the caption is longer than the pipeline reads."""
        self._prompt(caption, n_vectors)

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """See `dti_core.training.backend.TextEncoder`. Call inside `pipeline_session`. Raises as `check_caption`."""
        rows = vectors[KEY]
        prompts = [self._prompt(caption, len(rows)) for caption in captions]
        longest = max(map(len, prompts))
        filled = [[*ids, *[self._tokenizer.pad_token_id] * (longest - len(ids))] for ids in prompts]
        mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in prompts]
        hidden = _encoded(self._model, torch.tensor(filled), torch.tensor(mask), rows, self._end)
        context = torch.cat([hidden[:, :1], hidden[:, self._first :]], dim=1)
        return Conditioning(context.float(), None, lengths=[1 + len(ids) - self._first for ids in prompts])

    def _prompt(self, caption: str, n_vectors: int) -> list[int]:
        """Token ids; from `_end` on they are the concept's vectors, and behind these vectors of zeros."""
        wanted = slots(caption, n_vectors, zeros=True)
        rows = iter([row for slot in SLOT.finditer(caption) for row in wanted[slot[0]]])
        text = SLOT.sub(lambda slot: MARK * len(wanted[slot[0]]), caption).lower().strip()
        ids = self._tokenizer(self._instruction + text).input_ids
        if len(ids) > self._most:
            over = len(ids) - self._most
            raise ValueError(
                f"With {n_vectors} vectors the caption {caption!r} is {over} tokens longer than the pipeline reads. "
                "Shorten it."
            )
        return [self._end + next(rows) if token == self._mark else token for token in ids]


def _encoded(model: Any, ids: Tensor, mask: Tensor, vectors: Tensor, end: int) -> Tensor:
    """What the model makes of tokens `[B, n]`, of which those from `end` on are `vectors`: states `[B, n, dim]`."""
    layer = model.get_input_embeddings()
    table = layer.weight
    name = next(name for name, tensor in model.named_parameters() if tensor is table)
    # A table of what occurs, as the whole one is large. Rows up to the padding's keep their place: its row gets no
    # gradient, and is to be none of the vectors.
    kept = torch.arange((layer.padding_idx or 0) + 1)
    known, compact = torch.unique(torch.cat([kept, ids.flatten()]), return_inverse=True)
    words, extra = known[known < end].to(table.device), known[known >= end] - end
    zeros = max(0, int(extra.max()) + 1 - len(vectors)) if len(extra) else 0
    rows = pad(vectors, (0, 0, 0, zeros))[extra.to(vectors.device)].to(table)
    small = torch.cat([table[words], rows])
    inputs = compact[len(kept) :].reshape(ids.shape).to(model.device)
    output = torch.func.functional_call(model, {name: small}, (inputs,), {"attention_mask": mask.to(model.device)})
    states: Tensor = output[0]
    return states


def _vocabulary(tokenizer: Any, model: Any) -> Vocabulary:
    """Start, end and padding are no words, nor are tokens that were added to the pipeline."""
    table = model.get_input_embeddings().weight.detach()
    special = frozenset([*tokenizer.all_special_ids, *range(tokenizer.vocab_size, len(table))])
    words = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
    return Vocabulary(table, special, words)
