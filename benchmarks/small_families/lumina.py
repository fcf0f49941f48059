"""Lumina 2 (Gemma-2-2B) and Z-Image (Qwen3-4B)."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import comfy.ops
import comfy.supported_models
import comfy.text_encoders.lumina2
import comfy.text_encoders.z_image
import sentencepiece
import torch
from comfy.ldm.lumina.model import NextDiT

from .family import Family, small_config, small_encoders
from .sizes import QWEN, QWEN_WIDTH

GEMMA_WIDTH = 64
WORDS = 400
GEMMA = {
    "vocab_size": WORDS,
    "hidden_size": GEMMA_WIDTH,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
LUMINA: dict[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 64,
    "cap_feat_dim": GEMMA_WIDTH,
    "n_layers": 2,
    "qk_norm": True,
    "n_heads": 4,
    "n_kv_heads": 2,
    "axes_dims": [4, 6, 6],
    "axes_lens": [300, 512, 512],
    "rope_theta": 10000.0,
    "ffn_dim_multiplier": 4.0,
}
Z_IMAGE: dict[str, Any] = {
    **LUMINA,
    "dim": 256,  # what the time is embedded in
    "cap_feat_dim": QWEN_WIDTH,
    "n_heads": 16,
    "n_kv_heads": 16,
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
# What the host tells by the width of the large ones.
UNSEEN = ("n_heads", "n_kv_heads", "axes_dims", "axes_lens", "rope_theta", "ffn_dim_multiplier")
UNSEEN_Z = (*UNSEEN, "z_image_modulation", "time_scale", "pad_tokens_multiple")
# A vocabulary in Gemma's form, of what a training asks for: Gemma's own is not in the host, but in its checkpoint.
SENTENCES = (
    "a photo of a dog on a red table, in the rain and the snow, with a small old teapot, a cat and a toy",
    "a rendition of a cropped painting of the nice weird clean dirty cool large bright dark close-up depiction",
    "The quick brown fox jumps over the lazy dog; 0 1 2 3 4 5 6 7 8 9 (ABCDEFGHIJKLMNOPQRSTUVWXYZ) embedding:",
)


def vocabulary() -> torch.Tensor:
    """A small SentencePiece model with Gemma's special tokens, as its file carries one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=model,
        vocab_size=WORDS,
        hard_vocab_limit=False,
        model_type="bpe",
        add_dummy_prefix=False,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return torch.frombuffer(bytearray(model.getvalue()), dtype=torch.uint8)


def _family(
    name: str,
    title: str,
    network: dict[str, Any],
    tokenizer: type,
    encoder: str,
    encoders: type,
    unseen: tuple[str, ...],
    marks: dict[str, torch.Tensor],
) -> Family:
    # Both are what the host calls Lumina 2 in another size.
    kind = comfy.supported_models.Lumina2 if name == "lumina2" else comfy.supported_models.ZImage
    config = small_config(kind, network, tokenizer, encoders, extra=unseen, match=("dim",))
    module = partial(NextDiT, operations=comfy.ops.manual_cast)
    return Family(name, title, config, network, (encoder,), marks, module, clip_type="lumina2")


FAMILIES = (
    _family(
        "lumina2",
        "Lumina 2",
        LUMINA,
        comfy.text_encoders.lumina2.LuminaTokenizer,
        "gemma2_2b",
        small_encoders(comfy.text_encoders.lumina2.te(), {"gemma2_2b": GEMMA}),
        UNSEEN,
        {"text_encoders.spiece_model": vocabulary()},
    ),
    _family(
        "z_image",
        "Z-Image",
        Z_IMAGE,
        comfy.text_encoders.z_image.ZImageTokenizer,
        "qwen3_4b",
        small_encoders(comfy.text_encoders.z_image.te(), {"qwen3_4b": QWEN}),
        UNSEEN_Z,
        {},
    ),
)
