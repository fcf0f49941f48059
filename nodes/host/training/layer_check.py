"""Layers that cut the gradient without an error, found before training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from comfy.ldm.pixart.pixartms import PixArtMS

from ....dti_core.training.backend import Conditioning
from .denoiser import HostDenoiser
from .text_encoder import HostTextEncoder

# Of the latents that are tried; PixArt counts positions in steps of 64.
EDGE, PIXART_EDGE = 16, 48


def check_layers(text_encoder: HostTextEncoder, denoiser: HostDenoiser, *modules: torch.nn.Module) -> None:
    """Raise ValueError where a layer of `modules`, or all of the network, gives a result without the input's gradient.

    A network has ways around its layers, so that training would go on, in a wrong direction. Layers of packs for
    other weight formats, or of faster libraries, may be made for sampling only. Call inside `differentiable`.
    """
    vectors = {key: torch.zeros(1, v.dim, requires_grad=True) for key, v in text_encoder.vocabularies.items()}
    with _cuts_refused(*modules):
        conditioning = text_encoder.encode(["{}"], vectors)
        loss = _run(denoiser, conditioning)
    if not loss.requires_grad:
        # PixArt does not ask the session for its attention.
        raise ValueError(
            "No gradient comes through this model to its text: its attention is made for sampling only. Start ComfyUI "
            "without --use-sage-attention, --use-flash-attention and the like."
        )


def _run(denoiser: HostDenoiser, conditioning: Conditioning) -> torch.Tensor:
    edge = PIXART_EDGE if isinstance(denoiser.patcher.model.diffusion_model, PixArtMS) else EDGE
    noise = torch.zeros(1, denoiser.latent_channels, edge, edge, device=denoiser.device)
    sigma = denoiser.sigmas(torch.tensor([0.5])).to(denoiser.device)
    size = 8 * edge
    return denoiser.loss(noise, conditioning, sigma, noise, torch.tensor([[size, size, 0, 0, size, size]]))


@contextmanager
def _cuts_refused(*modules: torch.nn.Module) -> Iterator[None]:
    hooks = []
    try:
        for module in modules:
            for name, layer in module.named_modules():
                if not list(layer.children()):
                    hooks.append(layer.register_forward_hook(partial(_refuse_cut, name)))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_cut(name: str, layer: torch.nn.Module, args: tuple[object, ...], result: object) -> None:
    takes_gradient = torch.is_grad_enabled() and any(torch.is_tensor(arg) and arg.requires_grad for arg in args)
    if takes_gradient and torch.is_tensor(result) and not result.requires_grad:
        raise ValueError(
            f"The layer {name} ({type(layer).__name__} of {type(layer).__module__}) is made for sampling only: no "
            "gradient comes through it. Load the model in another format (safetensors in fp16, bf16 or fp8), or "
            "connect it before the node that changes its layers."
        )
