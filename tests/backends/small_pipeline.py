"""benchmarks/small_sdxl's architecture as a diffusers pipeline with seeded random weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the packages say of each other while they load
    transformers = pytest.importorskip("transformers")
    diffusers = pytest.importorskip("diffusers")

WIDTHS = {"clip_l": 64, "clip_g": 96}

UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (32, 96, 128),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (2, 6, 8),  # diffusers' name for the number of heads
    "cross_attention_dim": sum(WIDTHS.values()),
    "use_linear_projection": True,
    "resnet_time_scale_shift": "scale_shift",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": WIDTHS["clip_g"] + 6 * 256,
}

# SDXL's own.
SCHEDULE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def scheduler(kind: str = "EulerDiscreteScheduler", **settings: Any) -> Any:
    """A scheduler with SDXL's noise levels."""
    return getattr(diffusers, kind)(**{**SCHEDULE, **settings})


def small_pipeline(tokenizer_folder: Path) -> Any:
    """The pipeline, float32 on the CPU."""
    tokenizers = [
        transformers.CLIPTokenizer.from_pretrained(tokenizer_folder, model_max_length=77, pad_token=pad)
        for pad in ("<|endoftext|>", "!")
    ]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.StableDiffusionXLPipeline(
            vae=diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(8, 8, 8, 8),
                norm_num_groups=4,
                scaling_factor=0.13025,
                latent_channels=4,
            ),
            text_encoder=_text_encoder("CLIPTextModel", WIDTHS["clip_l"], tokenizers[0], "quick_gelu"),
            text_encoder_2=_text_encoder("CLIPTextModelWithProjection", WIDTHS["clip_g"], tokenizers[1], "gelu"),
            tokenizer=tokenizers[0],
            tokenizer_2=tokenizers[1],
            unet=diffusers.UNet2DConditionModel(**UNET),
            scheduler=scheduler(),
            add_watermarker=False,
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _text_encoder(kind: str, width: int, tokenizer: Any, activation: str) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=width // 16,
        num_hidden_layers=12,  # as benchmarks/small_sdxl
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=0,
        eos_token_id=2,  # as in SDXL's own files, though the token has another id
    )
    return getattr(transformers, kind)(config).eval()
