"""A pass of the diffusion network as the host's sampler makes it, with what nodes have put into the MODEL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comfy.ldm.modules.attention
import torch
from torch import Tensor

from .model_patches import Patch, transformer_options

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class Network:
    """Noisy latents to the denoised prediction, differentiable in its inputs.

    patcher: a loaded ModelPatcher. patches: those of its patches that take part.
    """

    def __init__(self, patcher: ModelPatcher, patches: Sequence[Patch]) -> None:
        self._model = patcher.model
        self._device: torch.device = patcher.load_device
        self._is_patched = bool(patches)
        self._around: Any = next((patch.function for patch in patches if patch.place == ()), None)
        schedule = patcher.get_model_object("model_sampling").sigmas
        self._options = {
            **transformer_options(patcher, patches),
            # SageAttention and its like have no backward pass.
            "optimized_attention_override": _differentiable_attention,
            "sample_sigmas": torch.cat([schedule.flip(0), schedule.new_zeros(1)]),
            "cond_or_uncond": [0],
        }

    def __call__(self, x_t: Tensor, sigma: Tensor, inputs: Sequence[Mapping[str, object]]) -> Tensor:
        """The prediction for `x_t` `[B, C, H, W]`, `sigma` `[B]` and further arguments of the host's `apply_model`.

        inputs: one for all rows, or one for each.
        """
        if not self._is_patched and len(inputs) == 1:
            return self._run(x_t, sigma, inputs[0])
        # In sampling all rows share one noise level, and a patch may ask for it.
        rows = []
        for i in range(len(sigma)):
            own = inputs[i] if len(inputs) > 1 else _row(inputs[0], i)
            with self._seeded(sigma[i : i + 1]):
                rows.append(self._run(x_t[i : i + 1], sigma[i : i + 1], own))
        return torch.cat(rows)

    def _run(self, x_t: Tensor, sigma: Tensor, inputs: Mapping[str, object]) -> Tensor:
        # No two passes have anything in common that a cache could use, and so they have no id in common.
        options = {**self._options, "sigmas": sigma, "uuids": [uuid.uuid4()]}
        arguments = {**inputs, "transformer_options": options}
        if self._around is None:
            denoised: Tensor = self._model.apply_model(x_t, sigma, **arguments)
            return denoised
        call = {"input": x_t, "timestep": sigma, "c": arguments, "cond_or_uncond": [0]}
        denoised = self._around(self._model.apply_model, call)
        return denoised

    @contextmanager
    def _seeded(self, sigma: Tensor) -> Iterator[None]:
        """The same chance for the same noise level, whatever ran before: a run that goes on is the one that was not
        stopped. ToMe and HyperTile draw from the global generator."""
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(int(sigma.float().view(torch.int32)))
            yield


def _differentiable_attention(func: object, *args: object, **kwargs: object) -> Any:
    return comfy.ldm.modules.attention.attention_pytorch(*args, **kwargs)


def _row(inputs: Mapping[str, object], i: int) -> dict[str, object]:
    return {name: value[i : i + 1] if torch.is_tensor(value) else value for name, value in inputs.items()}
