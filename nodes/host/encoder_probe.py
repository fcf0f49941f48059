"""What the host's text encoders do to an embedding: its first norm, and its hidden states from block to block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management
import torch
from torch import Tensor

from ...dti_core.analysis.position_attenuation import FirstNorm
from ...dti_core.merging import repeated
from .training.text_encoder import HostTextEncoder

if TYPE_CHECKING:
    from comfy.sd import CLIP


class EncoderProbe:
    """Reads a CLIP's text encoders; loads their weights as a prompt would and changes nothing.

    text_encoder: the encoders' vocabularies and tokens.
    first_norms: by encoder key; None for encoders without a table of positions (T5, Gemma).
    """

    def __init__(self, clip: CLIP) -> None:
        comfy.model_management.load_models_gpu([clip.patcher])
        self.text_encoder = HostTextEncoder(clip, clip.cond_stage_model)
        self._transformers = {
            key: getattr(clip.cond_stage_model, key).transformer for key in self.text_encoder.vocabularies
        }
        self.first_norms: Mapping[str, FirstNorm | None] = {
            key: _first_norm(transformer) for key, transformer in self._transformers.items()
        }

    def hidden_states(self, prompt: str, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Hidden states of the embedding whose `vectors[key]` [n_vectors, dim] stand where `prompt` has `{}`.

        Returns [n_vectors, L + 1, dim] float32 on the CPU by encoder key, what enters the first of L blocks first.
        """
        found: dict[str, Tensor] = {}
        # Encoders with another number of vectors have a run of their own.
        for count in sorted({len(rows) for rows in vectors.values()}):
            slots = self.text_encoder.slot_positions(prompt, count)
            with _recorded(self._transformers) as states:
                self.text_encoder.encode([prompt], {key: repeated(rows, count) for key, rows in vectors.items()})
            found |= {
                key: _at(torch.stack(states[key], dim=2), slots[key]) for key in states if len(vectors[key]) == count
            }
        return found

    def last_hidden_states(self, word: str, keys: Collection[str] | None = None) -> dict[str, Tensor]:
        """What the encoders make of a word that stands alone, behind their last norm: CrossInit's start.

        keys: of the encoders that are asked for; None for all.

        Returns [n_tokens, dim] float32 on the CPU by encoder key. Raises ValueError for encoders other than CLIP's.
        """
        wanted = self.first_norms if keys is None else keys
        other = [key for key in wanted if self.first_norms[key] is None]
        if other:
            raise ValueError(f"CrossInit starts at hidden states of CLIP text encoders; {', '.join(other)} is none.")
        ids, tables = self.text_encoder.token_ids(word), self.text_encoder.vocabularies
        with torch.no_grad():
            states = self.hidden_states("{}", {key: table.rows(ids[key]) for key, table in tables.items()})
        return {key: _normed(states[key][:, -1], self._transformers[key]) for key in states if key in wanted}


def _normed(rows: Tensor, transformer: Any) -> Tensor:
    norm = transformer.text_model.final_layer_norm
    return torch.nn.functional.layer_norm(rows, rows.shape[-1:], _plain(norm.weight), _plain(norm.bias), norm.eps)


def _first_norm(transformer: torch.nn.Module) -> FirstNorm | None:
    model = getattr(transformer, "text_model", None)
    if model is None:
        return None
    norm = model.encoder.layers[0].layer_norm1
    return FirstNorm(
        _plain(model.embeddings.position_embedding.weight), _plain(norm.weight), _plain(norm.bias), norm.eps
    )


@contextmanager
def _recorded(transformers: Mapping[str, torch.nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """By encoder key, what enters the first block and what leaves each one, [n_windows, n_tokens, dim]."""
    states: dict[str, list[Tensor]] = {key: [] for key in transformers}
    hooks = []
    try:
        for key, transformer in transformers.items():
            blocks = next(module for module in transformer.modules() if isinstance(module, torch.nn.ModuleList))
            hooks.append(blocks[0].register_forward_pre_hook(_note_input(states[key]), with_kwargs=True))
            hooks += [block.register_forward_hook(_note_output(states[key])) for block in blocks]
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def _note_input(states: list[Tensor]) -> Callable[..., None]:
    return lambda block, args, kwargs: states.append(_plain(args[0] if args else kwargs["x"]))


def _note_output(states: list[Tensor]) -> Callable[..., None]:
    # T5's blocks return more than the hidden state.
    return lambda block, args, output: states.append(_plain(output[0] if isinstance(output, tuple) else output))


def _plain(tensor: Tensor) -> Tensor:
    # A copy always: the host's CLIP blocks add to their input in place.
    return tensor.detach().to("cpu", torch.float32, copy=True)


def _at(states: Tensor, slots: list[tuple[int, int]]) -> Tensor:
    """Rows [n_slots, L + 1, dim] of `states` [n_windows, n_tokens, L + 1, dim]."""
    windows, positions = zip(*slots, strict=True)
    return states[list(windows), list(positions)]
