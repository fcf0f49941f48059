"""The host's names for text encoders, and which encoder a tensor is for whose name does not say it."""

from __future__ import annotations

from collections.abc import Mapping

ENCODER_OF_WIDTH: Mapping[int, str] = {
    768: "clip_l",
    1024: "clip_h",
    1280: "clip_g",
    2304: "gemma2_2b",
    4096: "t5xxl",
}

# Those whose width is the only one they come in: a file that names another of them is mistaken.
CLIP_OF_WIDTH: Mapping[int, str] = {width: key for width, key in ENCODER_OF_WIDTH.items() if key.startswith("clip_")}

# As ComfyUI 0.33's tokenizers look for them. Several share a width.
ENCODER_KEYS = frozenset(ENCODER_OF_WIDTH.values()) | {
    "byt5_small", "gemma3_4b", "gemma3_12b", "gemma4", "gpt_oss", "jina_clip_2", "llama", "ministral3_3b",
    "mistral3_24b", "mt5xl", "pile_t5xl", "qwen25_3b", "qwen25_7b", "qwen35_2b", "qwen3_06b", "qwen3_2b", "qwen3_4b",
    "qwen3_8b", "qwen3vl_8b", "qwen3vl_32b", "t5base", "t5gemma", "umt5base", "umt5xxl",
}  # fmt: skip

# What other trainers call them (OneTrainer).
ALIASES: Mapping[str, str] = {"t5": "t5xxl", "gemma": "gemma2_2b"}


def named_encoder(name: str) -> str | None:
    """The encoder key that `name` is, or is another name for; None for any other name."""
    key = ALIASES.get(name, name)
    return key if key in ENCODER_KEYS else None
