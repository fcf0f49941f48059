"""DINOv2 and SigLIP in miniature, with seeded random weights, in folders as the Hub has them; and two subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

WORDS = "a the dog cat bowl in on jungle snow beach red purple of photo background with".split()
DINO_EDGE, DINO_CROP, SIGLIP_EDGE = 64, 56, 64
TOKENS = 64


def write_dino(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = Dinov2Model(Dinov2Config(**sizes, image_size=DINO_CROP, patch_size=14))
    _enlarge(model)
    model.save_pretrained(folder)
    crop = {"height": DINO_CROP, "width": DINO_CROP}
    BitImageProcessor(size={"shortest_edge": DINO_EDGE}, crop_size=crop).save_pretrained(folder)


def write_siglip(folder: Path) -> None:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(WORDS) + 2, "max_position_embeddings": TOKENS, "projection_size": 32}
    vision = {**sizes, "image_size": SIGLIP_EDGE, "patch_size": 16}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    _enlarge(model)
    model.save_pretrained(folder)
    size = {"height": SIGLIP_EDGE, "width": SIGLIP_EDGE}
    SiglipImageProcessor(size=size).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """SigLIP's cleaning of text (lower case, no punctuation) and its end and padding, on whole words."""
    vocabulary = {word: number for number, word in enumerate(["</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(r"[^\w\s]"), "")])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", unk_token="<unk>", model_max_length=TOKENS
    )


def _enlarge(model: torch.nn.Module) -> None:
    """As weights begin, what comes out hardly depends on what goes in."""
    for weight in model.parameters():
        if weight.ndim in (2, 4):
            torch.nn.init.normal_(weight, std=0.5)


def noise(seed: int, edge: int = 64) -> Image.Image:
    """An image of colours that differ from place to place."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((edge, edge), Image.Resampling.NEAREST)


def write_subjects(folder: Path) -> None:
    """A dog and a bowl, two images each."""
    for number, name in enumerate(("dog", "berry_bowl")):
        (folder / name).mkdir(parents=True)
        for image in range(2):
            noise(10 * number + image).save(folder / name / f"{image:02d}.png")
