"""The user's models, made ready for one training run and handed back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch

from .denoiser import HostDenoiser
from .differentiable import differentiable
from .text_encoder import HostTextEncoder


@contextmanager
def training_session(model, clip) -> Iterator[tuple[HostTextEncoder, HostDenoiser]]:
    """Load MODEL and CLIP side by side and make them differentiable while the context lasts.

    Raises ValueError where clip and model do not belong together.
    """
    with torch.inference_mode(False), _in_training():
        unet, encoders = _resident(model), _resident(clip.patcher)
        if comfy.model_management.should_use_bf16(unet.load_device):
            # fp16 has too little range for these gradients; the host casts weights as it does for its own training.
            unet.set_model_compute_dtype(torch.bfloat16)
        # As much memory as can be had: a model that the host streams in parts cannot be differentiated.
        comfy.model_management.load_models_gpu([unet, encoders], memory_required=1e20, force_full_load=True)
        with differentiable(unet.model, encoders.model):
            text_encoder, denoiser = HostTextEncoder(clip, encoders.model), HostDenoiser(unet)
            with torch.no_grad():
                denoiser.check_conditioning(text_encoder.encode(["{}"], _any_vectors(text_encoder)))
            yield text_encoder, denoiser


def _resident(patcher):
    """A clone whose weights stay in memory. Hosts from 0.15 on may page them out after each layer."""
    is_dynamic = getattr(patcher, "is_dynamic", None)
    return patcher.clone(disable_dynamic=True) if is_dynamic and is_dynamic() else patcher.clone()


@contextmanager
def _in_training() -> Iterator[None]:
    """Newer hosts leave out operations without a gradient while this flag of theirs is set."""
    management = comfy.model_management
    before = getattr(management, "in_training", None)
    if before is None:
        yield
        return
    management.in_training = True
    try:
        yield
    finally:
        management.in_training = before


def _any_vectors(text_encoder: HostTextEncoder) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(1, vocabulary.dim) for key, vocabulary in text_encoder.vocabularies.items()}
