"""The user's models, made ready for one training run and handed back as they were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import comfy.model_management
import torch

from .denoiser import HostDenoiser
from .differentiable import differentiable
from .full_precision import full_precision
from .layer_check import check_layers
from .memory import TrainingMemory
from .memory_plan import MemoryPlan
from .model_patches import network_patches, patch_modules
from .patch_check import check_patches
from .recompute import recomputed
from .text_encoder import HostTextEncoder
from .weight_casts import casts_made_again

if TYPE_CHECKING:
    from comfy.model_base import BaseModel
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP


@contextmanager
def training_session(
    model: ModelPatcher, clip: CLIP, memory: TrainingMemory | None = None
) -> Iterator[tuple[HostTextEncoder, HostDenoiser]]:
    """Load MODEL and CLIP side by side and make them differentiable while the context lasts.

    memory: the plan they are kept under; `memory.step_down` lowers it on the way. None: everything is kept.

    Raises ValueError where clip and model do not belong together, or where the host cannot hold on to a model.
    """
    with torch.inference_mode(False), _in_training():
        placed = _PlacedModels(_resident(model, "model"), _resident(clip.patcher, "clip"), memory)
        with placed.open():
            denoiser = HostDenoiser(placed.unet)
            text_encoder = HostTextEncoder(clip, placed.encoders.model, denoiser.device, denoiser.repeats_text)
            with torch.no_grad():
                conditioning = text_encoder.encode(["{}"], _any_vectors(text_encoder))
            denoiser.check_conditioning(conditioning)
            check_patches(placed.unet, conditioning)
            check_layers(text_encoder, denoiser, placed.unet.model, placed.encoders.model)
            yield text_encoder, denoiser


class _PlacedModels:
    """The two models, loaded as the plan in force says, and differentiable while they are open."""

    def __init__(self, unet: ModelPatcher, encoders: ModelPatcher, memory: TrainingMemory | None) -> None:
        self.unet, self.encoders = unet, encoders
        self._memory = memory
        self._stack = ExitStack()

    @contextmanager
    def open(self) -> Iterator[None]:
        modules = (self.unet.model, self.encoders.model)
        followed = nullcontext() if self._memory is None else self._memory.followed_by(self._place)
        recomputing = recomputed(lambda: self._plan.recompute, *modules)
        with casts_made_again(), full_precision(*modules), recomputing, self._stack, followed:
            self._place()
            yield

    @property
    def _plan(self) -> MemoryPlan:
        return MemoryPlan("") if self._memory is None else self._memory.plan

    def _place(self) -> None:
        self._stack.close()  # the host moves its own tensors, not ours on the same memory
        device = self.unet.load_device
        with torch.inference_mode():
            working = 0 if self._memory is None else self._memory.working_bytes
            comfy.model_management.load_models_gpu([self.unet, self.encoders], memory_required=working)
            # The host may have left out a part of one for the other, and does not know what is to be fetched.
            _hold(self.encoders, 0 if self._plan.stream_text_encoders else math.inf)
            _hold(self.unet, self._memory.unet_bytes if self._memory and self._plan.stream_unet else math.inf)
        brought = patch_modules(network_patches(self.unet))
        self._stack.enter_context(differentiable(self.unet.model, self.encoders.model, *brought))
        _bring_buffers(self.unet.get_model_object("model_sampling"), device)
        _bring_tables(self.encoders.model, self.encoders.load_device)
        if comfy.model_management.should_use_bf16(device):
            # fp16 has too little range for these gradients.
            self._stack.enter_context(_computing_in(torch.bfloat16, self.unet.model))


def _resident(patcher: ModelPatcher, socket: str) -> ModelPatcher:
    """A clone whose weights stay where they are put. Hosts from 0.15 on may page them out after each layer."""
    is_dynamic = getattr(patcher, "is_dynamic", None)
    if is_dynamic is None or not is_dynamic():
        return patcher.clone()
    try:
        return patcher.clone(disable_dynamic=True)
    except RuntimeError as error:
        raise ValueError(
            f"The {socket} comes from a loader that cannot give it a second time ({error}), which training needs while "
            "this ComfyUI pages weights out. Use ComfyUI's own Load Checkpoint, or start ComfyUI with "
            "--disable-dynamic-vram."
        ) from error


def _hold(patcher: ModelPatcher, n_bytes: float) -> None:
    """Have so much of the weights on the device; the host fetches the others for each layer's pass."""
    patcher.partially_load(patcher.load_device, n_bytes - patcher.loaded_size())


def _bring_buffers(sampling: torch.nn.Module, device: torch.device) -> None:
    """The noise schedule on the device, where each pass reads it; `differentiable` puts the host's back."""
    for name, tensor in sampling._buffers.items():
        sampling._buffers[name] = None if tensor is None else tensor.to(device)


def _bring_tables(encoders: torch.nn.Module, device: torch.device) -> None:
    """The token tables on the device; older hosts encode a prompt wherever its table lies. Put back in the same way."""
    for table in encoders.modules():
        if isinstance(table, torch.nn.Embedding) and table.weight.device != device:
            table._parameters["weight"] = torch.nn.Parameter(table.weight.to(device), requires_grad=False)


@contextmanager
def _computing_in(dtype: torch.dtype, model: BaseModel) -> Iterator[None]:
    """As the host's `set_model_compute_dtype`, which would load the model anew before and after."""
    casting = [child for child in model.modules() if hasattr(child, "comfy_cast_weights")]
    before = [(child, vars(child).get("comfy_cast_weights")) for child in casting]
    compute_dtype = model.manual_cast_dtype
    try:
        model.manual_cast_dtype = dtype
        for child in casting:
            child.comfy_cast_weights = True
        yield
    finally:
        model.manual_cast_dtype = compute_dtype
        for child, own in before:
            del child.comfy_cast_weights
            if own is not None:
                child.comfy_cast_weights = own


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
