"""What the host's model takes beside noisy latents and sigma: text, and the sizes that SDXL is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ....dti_core.training.backend import Conditioning

if TYPE_CHECKING:
    from comfy.model_base import BaseModel


class ModelInputs:
    """Makes them through the host's `extra_conds`, a sample at a time, as sizes are numbers to the host.

    For a model that takes the pooled text with the sizes behind it, as SDXL does, the sizes are asked for once per
    framing: the host computes them on the CPU, and the text would travel there and back in each pass.
    """

    def __init__(self, model: BaseModel) -> None:
        self._model = model
        self._behind_text: dict[tuple[int, ...], Tensor | None] = {}

    def __call__(self, conditioning: Conditioning, noise: Tensor, framing: Tensor) -> list[dict[str, Any]]:
        """Arguments for `apply_model`, for conditioning of B rows, noise [B, C, H, W] and framing [B, 6] on the CPU.

        One for all samples, or one for each where they cannot share a pass: texts of unequal length, and numbers
        that the host takes for a whole pass.
        """
        framings = [tuple(row) for row in framing.tolist()]
        found = [self._sizes_behind_text(conditioning, noise, row) for row in framings]
        behind = [sizes for sizes in found if sizes is not None]
        if conditioning.pooled is not None and conditioning.lengths is None and len(behind) == len(found):
            y = torch.cat([conditioning.pooled, torch.cat(behind)], dim=1)
            return [{"c_crossattn": conditioning.context, "y": y}]
        samples = [
            self._ask_host(conditioning.select(torch.tensor([i])), noise[i : i + 1], row)
            for i, row in enumerate(framings)
        ]
        if any(not _are_alike(samples[0], sample) for sample in samples[1:]):
            return samples
        together = {
            name: torch.cat([sample[name] for sample in samples]) if torch.is_tensor(value) else value
            for name, value in samples[0].items()
        }
        return [together]

    def _sizes_behind_text(self, conditioning: Conditioning, noise: Tensor, framing: tuple[int, ...]) -> Tensor | None:
        """What follows the pooled text in the model's "y", [1, n]; None where it is made in another way."""
        if framing not in self._behind_text:
            self._behind_text[framing] = self._find_sizes(conditioning, noise, framing)
        return self._behind_text[framing]

    @torch.no_grad()
    def _find_sizes(self, conditioning: Conditioning, noise: Tensor, framing: tuple[int, ...]) -> Tensor | None:
        if conditioning.pooled is None:
            return None
        width = conditioning.pooled.shape[1]
        sizes = []
        for value in (0.0, 1.0):
            pooled = torch.full((1, width), value)
            text = Conditioning(torch.full((1, 1, conditioning.context.shape[2]), value), pooled)
            inputs = self._ask_host(text, torch.zeros(1, *noise.shape[1:]), framing)
            y = inputs.pop("y", None)
            if y is None or list(inputs) != ["c_crossattn"] or not torch.equal(inputs["c_crossattn"], text.context):
                return None
            if not torch.equal(y[:, :width], pooled):
                return None
            sizes.append(y[:, width:])
        return sizes[0].to(noise.device) if torch.equal(*sizes) else None

    def _ask_host(self, conditioning: Conditioning, noise: Tensor, framing: tuple[int, ...]) -> dict[str, Any]:
        height, width, top, left, target_height, target_width = framing
        text = conditioning.context
        if conditioning.lengths is not None:
            text = text[:, : conditioning.lengths[0]]
        own = dict(conditioning.extra[0]) if conditioning.extra else {}
        # A network that was distilled with guidance as an input has the plain prediction at 1.
        if self._model.model_config.unet_config.get("guidance_embed"):
            own["guidance"] = 1.0
        conds = self._model.extra_conds(
            **own,
            cross_attn=text,
            pooled_output=conditioning.pooled,
            noise=noise,
            # What sampling from an empty latent gives: an inpainting model fills its other channels by it.
            latent_image=torch.zeros_like(noise),
            denoise_mask=None,
            device=noise.device,
            prompt_type="positive",
            height=height,
            width=width,
            crop_h=top,
            crop_w=left,
            target_height=target_height,
            target_width=target_width,
        )
        return {name: _on(noise.device, cond.cond) for name, cond in conds.items()}


def _on(device: torch.device, value: Any) -> Any:
    # The host's sampler brings what it asks for to the device; guidance, for one, is made on the CPU.
    return value.to(device) if torch.is_tensor(value) else value


def _are_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two samples' arguments can be one pass's: tensors of the same shapes, and everything else the same."""
    return one.keys() == other.keys() and all(
        torch.is_tensor(value) == torch.is_tensor(other[name])
        and (value.shape == other[name].shape if torch.is_tensor(value) else value == other[name])
        for name, value in one.items()
    )
