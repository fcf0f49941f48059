"""One small model family: what the host's own entry for it is told to be smaller in, and what marks its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.supported_models_base import BASE, ClipTarget


@dataclass(frozen=True)
class Family:
    """A row of the matrix.

    name: of its checkpoint file. title: for people.
    config: the small entry for the host's list of model families.
    network: what the host's diffusion network of this family is built with.
    encoders: keys of the text encoders that its files are for.
    marks: tensors that the file has beside its weights, or in the place of them, by name.
    module: the host's class of the network.
    initializer: a word of its vocabulary. size: of the images in pixels.
    with_vae: whether its checkpoint has a small VAE for its latents; without, it is loaded in parts, or for gradients.
    clip_type: what CLIPLoader and its like call the kind of its text encoders.
    """

    name: str
    title: str
    config: type[BASE]
    network: Mapping[str, Any]
    encoders: Sequence[str]
    marks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    module: Callable[..., torch.nn.Module] = UNetModel
    initializer: str = "dog"
    size: int = 128
    with_vae: bool = True
    clip_type: str = "stable_diffusion"


def small_tokenizer(kind: type, widths: Mapping[str, int]) -> type:
    """The host's tokenizer, told the small widths by encoder key, so that it accepts embeddings of the right shape."""

    class SmallTokenizer(kind):  # type: ignore[misc]
        def __init__(
            self, embedding_directory: list[str] | None = None, tokenizer_data: dict[str, Any] | None = None
        ) -> None:
            super().__init__(embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {})
            for key, width in widths.items():
                getattr(self, key).embedding_size = width

    return SmallTokenizer


def small_encoders(kind: type, configs: Mapping[str, Mapping[str, Any]]) -> type:
    """The host's text encoders with what `configs` changes in each one's configuration, by encoder key."""

    class SmallEncoders(kind):  # type: ignore[misc]
        sizes = configs

        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
            sizes = {f"{key}_model_config": dict(config) for key, config in configs.items()}
            super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})

    return SmallEncoders


def small_config(
    kind: type[BASE],
    network: Mapping[str, Any],
    tokenizer: type,
    encoders: type,
    extra: Sequence[str] = (),
    match: Sequence[str] = (),
) -> type[BASE]:
    """The host's entry for a family, matched by the small sizes.

    extra: of the network, what a file does not show. match: by what else of it the file is known.
    """

    def clip_target(self: BASE, state_dict: dict[str, Any] | None = None) -> ClipTarget:
        return ClipTarget(tokenizer, encoders)

    fields = {
        "unet_config": {key: network[key] for key in (*kind.unet_config, *match)},
        "unet_extra_config": {**kind.unet_extra_config, **{key: network[key] for key in extra}},
        "clip_target": clip_target,
    }
    return type(f"Small{kind.__name__}", (kind,), fields)
