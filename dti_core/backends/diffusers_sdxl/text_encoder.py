"""The pipeline's text encoders as dti_core's TextEncoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...analysis.token_text import check_known
from ...training.backend import Conditioning
from ...training.captions import SLOT, slots
from ...vocabulary import Vocabulary

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

# Any row of the token table: one of the concept's vectors takes its place.
PLACEHOLDER = 0


@dataclass(frozen=True)
class _Prompt:
    """A caption's tokens with start, end and padding; where which of the vectors go, and where the end token is."""

    ids: Sequence[int]
    places: Sequence[int]
    rows: Sequence[int]
    end: int


class PipelineTextEncoder:
    """Encodes through the pipeline's tokenizers and text encoders, as its `encode_prompt` does.

    The pooled text is read at the end token. The pipeline itself reads it at the highest token id where a text
    encoder's `eos_token_id` is 2, as in SDXL's own files, and so at a concept that `load_textual_inversion` adds.
    """

    def __init__(self, pipe: StableDiffusionXLPipeline) -> None:
        self._pipe = pipe
        self.notes: Mapping[str, str] = {}
        self._encoders: Mapping[str, tuple[Any, Any]] = {
            "clip_l": (pipe.tokenizer, pipe.text_encoder),
            "clip_g": (pipe.tokenizer_2, pipe.text_encoder_2),
        }
        self.vocabularies: Mapping[str, Vocabulary] = {
            key: _vocabulary(tokenizer, model) for key, (tokenizer, model) in self._encoders.items()
        }

    def token_ids(self, text: str) -> dict[str, list[int]]:
        """Token ids by encoder key. Raises ValueError where a word is not in the vocabulary."""
        ids = {key: self._ids(tokenizer, text) for key, (tokenizer, _) in self._encoders.items()}
        for key, (tokenizer, _) in self._encoders.items():
            check_known(text, tokenizer.convert_ids_to_tokens(ids[key]))
        return ids

    def check_caption(self, caption: str, n_vectors: int) -> None:
        """Raise ValueError where the caption is too long for one pass of the text encoders."""
        for tokenizer, _ in self._encoders.values():
            self._prompt(tokenizer, caption, n_vectors)

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """See `dti_core.training.backend.TextEncoder`. Call inside `pipeline_session`. Raises as `check_caption`."""
        contexts = []
        for key, (tokenizer, model) in self._encoders.items():
            prompts = [self._prompt(tokenizer, caption, len(vectors[key])) for caption in captions]
            output = _encoded(model, prompts, vectors[key])
            contexts.append(output.hidden_states[-2].float())
        ends = [prompt.end for prompt in prompts]
        pooled = model.text_projection(output.last_hidden_state[range(len(ends)), ends])
        return Conditioning(torch.cat(contexts, dim=-1), pooled.float())

    def _ids(self, tokenizer: Any, text: str) -> list[int]:
        # Concepts that were loaded into the pipeline may have several tokens.
        text = self._pipe.maybe_convert_prompt(text, tokenizer)
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    def _prompt(self, tokenizer: Any, caption: str, n_vectors: int) -> _Prompt:
        wanted = slots(caption, n_vectors)
        ids: list[int] = [tokenizer.bos_token_id]
        places: list[int] = []
        rows: list[int] = []
        done = 0
        for slot in SLOT.finditer(caption):
            ids += self._ids(tokenizer, caption[done : slot.start()])
            own, done = wanted[slot[0]], slot.end()
            places += range(len(ids), len(ids) + len(own))
            rows += own
            ids += [PLACEHOLDER] * len(own)
        ids += [*self._ids(tokenizer, caption[done:]), tokenizer.eos_token_id]
        room = tokenizer.model_max_length - len(ids)
        if room < 0:
            raise ValueError(
                f"With {n_vectors} vectors the caption {caption!r} is {len(ids)} tokens long, start and end counted, "
                f"and the text encoders read {tokenizer.model_max_length}. Shorten it."
            )
        return _Prompt([*ids, *[tokenizer.pad_token_id] * room], places, rows, len(ids) - 1)


def _encoded(model: Any, prompts: Sequence[_Prompt], vectors: Tensor) -> Any:
    """The output of a text model that reads `vectors` where each prompt has the concept."""

    def put_in(module: torch.nn.Module, args: object, embedded: Tensor) -> Tensor:
        embedded = embedded.clone()
        for row, prompt in enumerate(prompts):
            embedded[row, prompt.places] = vectors[prompt.rows].to(embedded)
        return embedded

    ids = torch.tensor([prompt.ids for prompt in prompts], device=model.device)
    hook = model.get_input_embeddings().register_forward_hook(put_in)
    try:
        return model(ids, output_hidden_states=True)
    finally:
        hook.remove()


def _vocabulary(tokenizer: Any, model: Any) -> Vocabulary:
    """Start, end and padding are no words, nor are concepts that were loaded into the pipeline."""
    special = frozenset([*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()])
    words = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
    return Vocabulary(model.get_input_embeddings().weight.detach(), special, words)
