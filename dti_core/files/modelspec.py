"""What an embedding file says about itself, in the words of the sai_model_spec metadata standard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

# By the widths of the text encoders, which is what decides where a file fits.
MODELS: Mapping[frozenset[int], str] = {
    frozenset({768}): "SD1.5",
    frozenset({1024}): "SD2",
    frozenset({1280}): "SDXL (its CLIP-G half only)",
    frozenset({768, 1280}): "SDXL",
    frozenset({768, 1280, 4096}): "SD3",
    frozenset({768, 4096}): "Flux",
    frozenset({2304}): "SANA or Lumina 2 (Gemma 2 2B)",
    frozenset({2560}): "a model with Qwen3-4B or Gemma-3-4B (Z-Image, Flux.2 Klein)",
    frozenset({4096}): "a model with T5-XXL or UMT5-XXL (SD3, Flux, Wan)",
}

# Values of the standard's version 1.0.1; SD2 has one for each prediction type.
ARCHITECTURES: Mapping[tuple[str, str], str] = {
    ("SD1.5", "epsilon"): "stable-diffusion-v1",
    ("SD2", "epsilon"): "stable-diffusion-v2-512",
    ("SD2", "v"): "stable-diffusion-v2-768-v",
    ("SDXL", "epsilon"): "stable-diffusion-xl-v1-base",
    ("SDXL", "v"): "stable-diffusion-xl-v1-base",
    ("SD3", ""): "stable-diffusion-3",
}
# Families that widths do not tell apart, by how all architectures of theirs begin.
BEGINNINGS: Mapping[str, str] = {"stable-diffusion-xl": "SDXL", "stable-diffusion-3": "SD3"}


def model_name(widths: Mapping[str, int]) -> str:
    """The model whose text encoders have these widths (encoder key to width), or "an unknown model"."""
    return MODELS.get(frozenset(widths.values()), "an unknown model")


def trained_on(metadata: Mapping[str, str]) -> str:
    """The family that a header names, of SDXL and SD3, which widths do not tell apart; "" for any other."""
    architecture = metadata.get("modelspec.architecture", "").lower()
    return next((family for beginning, family in BEGINNINGS.items() if architecture.startswith(beginning)), "")


def modelspec_metadata(
    widths: Mapping[str, int],
    *,
    title: str,
    trigger_phrase: str,
    resolution: tuple[int, int],
    created: datetime,
    prediction_type: str = "epsilon",
    family: str = "",
) -> dict[str, str]:
    """Header entries of sai_model_spec 1.0.1 for a textual inversion, as kohya-ss/sd-scripts writes them.

    Args:
        widths: encoder key to embedding width.
        title: the embedding's name.
        trigger_phrase: what puts it into a prompt.
        resolution: width and height of the training images in pixels.
        created: when it was trained.
        prediction_type: "epsilon" or "v", as the standard knows them; "" leaves it out.
        family: a name of `MODELS`, where it is known; "" for what the widths say.
    """
    family = family or model_name(widths)
    architecture = ARCHITECTURES.get((family, prediction_type), "+".join(sorted(widths)))
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{architecture}/textual-inversion",
        "implementation": "https://github.com/Stability-AI/generative-models",
        "title": title,
        "trigger_phrase": trigger_phrase,
        "resolution": f"{resolution[0]}x{resolution[1]}",
        "date": created.isoformat(timespec="seconds"),
    }
    if prediction_type:
        entries["prediction_type"] = prediction_type
    return {f"modelspec.{key}": value for key, value in entries.items()}
