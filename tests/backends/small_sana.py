"""SANA's architecture as a diffusers pipeline with seeded random weights: Gemma 2, a transformer, a DC-AE."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the packages say of each other while they load
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")

WIDTH = 32
SPACE = "\u2581"  # how a SentencePiece vocabulary writes it
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
# Of its own, as all of a vocabulary has words that begin with the space and others.
WORDS = ("do", "dog", f"{SPACE}d", f"{SPACE}do", f"{SPACE}dog")

TRANSFORMER: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
    "caption_channels": WIDTH,
    "sample_size": 32,
}
AUTOENCODER: dict[str, Any] = {
    "latent_channels": 4,
    "attention_head_dim": 8,
    **{f"{half}_block_types": ("ResBlock",) * 6 for half in ("encoder", "decoder")},
    **{f"{half}_block_out_channels": (8,) * 6 for half in ("encoder", "decoder")},
    **{f"{half}_layers_per_block": (1,) * 6 for half in ("encoder", "decoder")},
    **{f"{half}_qkv_multiscales": ((),) * 6 for half in ("encoder", "decoder")},
    "scaling_factor": 0.41407,
}


def scheduler(kind: str = "DPMSolverMultistepScheduler", **settings: Any) -> Any:
    """The one that SANA's files have, or another of flow matching."""
    own = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    return getattr(diffusers, kind)(**(own if kind == "DPMSolverMultistepScheduler" else {}), **settings)


def gemma_tokenizer(folder: Path) -> Any:
    """With Gemma's special tokens; its words are single characters and bytes, and "dog"."""
    letters = [SPACE, "\n", *map(chr, range(0x21, 0x7F))]
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *WORDS]
    merges = [("d", "o"), ("do", "g"), (SPACE, "d"), (SPACE, "do"), (SPACE, "dog")]
    model = tokenizers.models.BPE(
        {token: i for i, token in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    whole = tokenizers.Tokenizer(model)
    whole.normalizer = tokenizers.normalizers.Replace(" ", SPACE)
    whole.add_special_tokens(list(SPECIAL))
    bos = SPECIAL[2]
    whole.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, SPECIAL.index(bos))]
    )
    folder.mkdir(exist_ok=True)
    whole.save(str(folder / "tokenizer.json"))
    named = {f"{token[1:-1]}_token": token for token in SPECIAL}
    settings = {**named, "tokenizer_class": "GemmaTokenizer", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return transformers.GemmaTokenizerFast.from_pretrained(folder)


def small_sana(folder: Path) -> Any:
    """The pipeline, float32 on the CPU. folder: for its tokenizer's files."""
    tokenizer = gemma_tokenizer(folder)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = transformers.Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=64,
            initializer_range=0.1,
            attn_implementation="eager",  # as Gemma's soft caps need
        )
        pipe = diffusers.SanaPipeline(
            tokenizer=tokenizer,
            text_encoder=transformers.Gemma2Model(config).eval(),
            vae=diffusers.AutoencoderDC(**AUTOENCODER),
            transformer=diffusers.SanaTransformer2DModel(**TRANSFORMER),
            scheduler=scheduler(),
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe
