"""Full-size models on a card that is not there: in its place torch's meta device, with shapes and no computation.

The host's own classes are built, and the pack's own session, encoding, loss and backward run on them. Import
`comfy_host.in_process` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import torch
from comfy.supported_models_base import BASE, ClipTarget
from torch import Tensor

from benchmarks.full_size_sdxl import UNET

CARD = torch.device("meta")
MAIN_MEMORY = torch.device("cpu")


class CardPatcher(comfy.model_patcher.ModelPatcher):
    """The host's ModelPatcher, but that what leaves the card becomes zeros of no size: meta tensors have no values."""

    def partially_unload(self, device_to: torch.device, memory_to_free: float = 0, **options: object) -> int:
        freed = 0
        modules = [m for m in self.model.modules() if hasattr(m, "comfy_cast_weights")]
        for module in sorted(modules, key=lambda m: sum(p.nbytes for p in m.parameters(recurse=False))):
            if freed >= memory_to_free:
                break
            for name, weight in list(module.named_parameters(recurse=False)):
                freed += weight.nbytes
                nothing = torch.zeros((), dtype=weight.dtype).expand(weight.shape)
                module._parameters[name] = torch.nn.Parameter(nothing, requires_grad=False)
            module.comfy_cast_weights = True
        self.model.model_loaded_weight_memory -= freed
        return freed


@contextmanager
def full_size_sdxl(
    dtype: torch.dtype = torch.float16, compute_dtype: torch.dtype = torch.bfloat16
) -> Iterator[tuple[CardPatcher, comfy.sd.CLIP]]:
    """MODEL and CLIP of an SDXL checkpoint, loaded on the card.

    dtype: of the weights, fp16 as in most checkpoints. compute_dtype: bf16 on cards from Ampere on, fp16 before.
    """
    config = comfy.supported_models.SDXL(dict(UNET))
    config.set_inference_dtype(dtype, None if dtype == compute_dtype or dtype == torch.float16 else compute_dtype)
    with on_card(config, config.clip_target(), compute_dtype) as models:
        yield models


@contextmanager
def on_card(
    config: BASE, target: ClipTarget, compute_dtype: torch.dtype, **tokenizer_data: object
) -> Iterator[tuple[CardPatcher, comfy.sd.CLIP]]:
    """MODEL and CLIP as the host makes them of its entry for a model, loaded on the card.

    target: the text encoders. tokenizer_data: what a file has for their tokenizers.
    """
    management = comfy.model_management
    with ExitStack() as stack:
        for module, name, stand_in in (
            (management, "get_free_memory", _plenty),
            (management, "ENABLE_PYTORCH_ATTENTION", True),  # as on every NVIDIA card
            (management, "should_use_bf16", lambda *args, **kwargs: compute_dtype == torch.bfloat16),
            (comfy.ops, "scaled_dot_product_attention", _attention),
        ):
            stack.enter_context(mock.patch.object(module, name, stand_in))
        if hasattr(comfy.ops.disable_weight_init, "_zero_init_parameter"):
            # Newer hosts give values to what has none, in main memory: 34 GB for Flux.1.
            no_values = staticmethod(lambda module, name: None)
            stack.enter_context(mock.patch.object(comfy.ops.disable_weight_init, "_zero_init_parameter", no_values))
        model = config.get_model({}, device=CARD)
        model.diffusion_model.to(CARD)
        patcher = CardPatcher(model, load_device=CARD, offload_device=MAIN_MEMORY)
        options = {"load_device": CARD, "offload_device": MAIN_MEMORY, "initial_device": CARD, "dtype": torch.float16}
        clip = comfy.sd.CLIP(target, model_options=options, tokenizer_data=tokenizer_data)
        clip.cond_stage_model.to(CARD)
        clip.patcher.__class__ = CardPatcher
        yield patcher, clip


def _plenty(device: object = None, torch_free_too: bool = False) -> object:
    return (10**12, 10**12) if torch_free_too else 10**12


def _attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *args: object, **kwargs: object):
    """What torch picks on cards from Ampere on: flash attention in 16 bit without a mask, else the efficient kernel.

    That one does not know heads that share keys, which the host repeats for it.
    """
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) if kwargs.get("enable_gqa") else t for t in (k, v))
    if attn_mask is None and q.dtype in (torch.float16, torch.bfloat16):
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, False, False)[0]
    if attn_mask is not None:
        attn_mask = attn_mask.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, attn_mask, True, 0.0, False)[0]
