"""A small family in the files that people load it from in parts: network, text encoders, VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfy.sd
import torch
from comfy.taesd.taesd import TAESD
from comfy.text_encoders import long_clipl
from safetensors.torch import load_file, save_file

from .family import Family
from .registry import FAMILIES

NETWORK_PREFIX = "model.diffusion_model."
# Flux.2's TAESD, which the host knows by the names of its two files alone.
FLUX2_VAE = "taef2"
# By what the host knows a text encoder of full size, without values; by encoder key.
TELLTALES = {
    "clip_g": {"text_model.encoder.layers.30.mlp.fc1.weight": torch.zeros(0)},
    "clip_h": {"text_model.encoder.layers.22.mlp.fc1.weight": torch.zeros(0)},
    "t5xxl": {"encoder.block.23.layer.1.DenseReluDense.wi_1.weight": torch.zeros(10240, 0, 4096)},
}
# Says of a text encoder's file which small family it is of.
MARK = "small_family"
QWEN = "model.layers.0.self_attn.q_norm.weight"


def vae_name(family: Family) -> str:
    """What VAELoader calls its VAE."""
    return f"{family.name}.safetensors" if family.with_vae else FLUX2_VAE


def encoder_files(family: Family) -> list[str]:
    """What CLIPLoader calls its text encoders."""
    return [f"{family.name}_{key}.safetensors" for key in family.encoders]


def split(checkpoint: Path, family: Family, models: Path) -> None:
    """Cut a checkpoint of the family into parts, in the folders of the host's `models`."""
    tensors = load_file(checkpoint)
    config = family.config(dict(family.network))
    marks = {name: mark for name, mark in family.marks.items() if "." not in name}  # of how the network samples
    _save(models / "diffusion_models" / checkpoint.name, {**_below(tensors, NETWORK_PREFIX), **marks})
    encoders = config.process_clip_state_dict(dict(tensors))
    name = torch.frombuffer(bytearray(family.name.encode()), dtype=torch.uint8)
    loose = {key: tensor for key, tensor in encoders.items() if key == "spiece_model"}
    for key, file in zip(family.encoders, encoder_files(family), strict=True):
        own = {**_below(encoders, f"{key}.transformer."), **loose, **TELLTALES.get(key, {}), MARK: name}
        _save(models / "text_encoders" / file, own)
    if family.with_vae:
        _save(models / "vae" / checkpoint.name, _below(tensors, config.vae_key_prefix[0]))
    else:
        _write_flux2_vae(models / "vae_approx")


def _write_flux2_vae(folder: Path) -> None:
    torch.manual_seed(0)
    vae = TAESD(latent_channels=128)
    for half, module in (("encoder", vae.taesd_encoder), ("decoder", vae.taesd_decoder)):
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1)
        _save(folder / f"{FLUX2_VAE}_{half}.safetensors", {k: v.half() for k, v in module.state_dict().items()})


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _save(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)


def teach_loaders() -> None:
    """Have the host's loaders of text encoders build those of a small family at its sizes."""
    long_clipl.model_options_long_clip = _small_sizes_too(long_clipl.model_options_long_clip)
    comfy.sd.detect_te_model = _small_qwen_too(comfy.sd.detect_te_model)


def _small_sizes_too(options_of: Callable[..., Any]) -> Callable[..., Any]:
    """Of the host's, which looks at each text encoder's file for sizes that are not the usual ones."""

    def model_options_long_clip(
        state_dict: dict[str, Any], tokenizer_data: dict[str, Any], model_options: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        tokenizer_data, model_options = options_of(state_dict, tokenizer_data, model_options)
        if MARK in state_dict:
            family = FAMILIES[bytes(state_dict[MARK].tolist()).decode()]
            sizes = family.config(dict(family.network)).clip_target({}).clip.sizes
            small = {f"{key}_model_config": dict(config) for key, config in sizes.items()}
            model_options = {**model_options, **small}
        return tokenizer_data, model_options

    return model_options_long_clip


def _small_qwen_too(detect: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Newer hosts tell Qwens by their width."""

    def detect_te_model(state_dict: dict[str, Any]) -> Any:
        return comfy.sd.TEModel.QWEN3_4B if MARK in state_dict and QWEN in state_dict else detect(state_dict)

    return detect_te_model
