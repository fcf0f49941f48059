"""Scores agree with the models' own parts, put together by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, Dinov2Model, SiglipModel

from benchmarks.dreambooth.judges import ImageJudge, TextJudge, folder_of
from tests.benchmarks.dreambooth import tiny_judges

# As both processors have it.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def pixels(image, mean, std):
    """An image `[H, W, 3]` uint8 as a network reads it, `[1, 3, H, W]`."""
    values = (torch.from_numpy(np.asarray(image).copy()) / 255 - torch.tensor(mean)) / torch.tensor(std)
    return values.permute(2, 0, 1)[None]


def test_likeness_is_the_cosine_of_class_tokens(dino):
    """Of images that need no resizing; ten of them, so that there is a short batch."""
    images = [tiny_judges.noise(seed) for seed in range(10)]
    features = ImageJudge(dino).features(images)
    model = Dinov2Model.from_pretrained(dino).eval()
    border = (tiny_judges.DINO_EDGE - tiny_judges.DINO_CROP) // 2
    inner = slice(border, border + tiny_judges.DINO_CROP)
    with torch.no_grad():
        tokens = torch.cat(
            [model(pixels(image, CLIP_MEAN, CLIP_STD)[..., inner, inner]).pooler_output for image in images]
        )
    expected = torch.nn.functional.cosine_similarity(tokens[:, None], tokens[None], dim=-1)
    assert expected.std() > 0.01  # the tiny model tells images apart
    torch.testing.assert_close(features @ features.T, expected, rtol=0, atol=1e-4)


def test_what_lies_outside_of_the_crop_does_not_count(dino):
    """DINOv2's processor cuts the border off: 16 of 256 pixels on each side, with the authors' model."""
    image = np.asarray(tiny_judges.noise(0)).copy()
    other = image.copy()
    other[:3] = 255 - other[:3]
    judge = ImageJudge(dino)
    first, second = (judge.features([Image.fromarray(values)]) for values in (image, other))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    other[20:40, 20:40] = 255 - other[20:40, 20:40]
    assert (judge.features([Image.fromarray(other)]) - first).abs().max() > 1e-3


def test_logits_are_of_each_image_with_its_own_text(siglip):
    images = [tiny_judges.noise(seed) for seed in range(10)]
    texts = [f"a {word} in the snow." for word in tiny_judges.WORDS[:10]]
    logits = TextJudge(siglip).logits(images, texts)
    model, words = SiglipModel.from_pretrained(siglip).eval(), tiny_judges.WORDS
    ids = torch.zeros(len(texts), tiny_judges.TOKENS, dtype=torch.long)  # 0 ends and pads; 2 is the first word
    for row, text in zip(ids, texts, strict=True):
        said = [2 + words.index(word) for word in text.removesuffix(".").split()]
        row[: len(said)] = torch.tensor(said)
    with torch.no_grad():
        seen = model.vision_model(torch.cat([pixels(image, (0.5,) * 3, (0.5,) * 3) for image in images])).pooler_output
        read = model.text_model(ids).pooler_output
        cosine = torch.nn.functional.cosine_similarity(seen, read, dim=-1)
        expected = cosine * model.logit_scale.exp() + model.logit_bias
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected.flatten(), rtol=0, atol=1e-4)


def test_a_full_stop_changes_nothing(siglip):
    """The authors add one, and SigLIP's tokenizer takes all punctuation out."""
    judge, image = TextJudge(siglip), [tiny_judges.noise(0)]
    torch.testing.assert_close(judge.logits(image, ["A dog"]), judge.logits(image, ["a dog."]), rtol=0, atol=0)


def test_a_text_that_is_too_long_is_refused(siglip):
    with pytest.raises(ValueError, match="64 tokens"):
        TextJudge(siglip).logits([tiny_judges.noise(0)], ["a " * 70])


def test_a_folder_that_is_not_whole_says_which_files(tmp_path, dino, siglip):
    """By name, and whose they are."""
    for file in ("config.json", "preprocessor_config.json"):
        shutil.copy(dino / file, tmp_path / file)
    with pytest.raises(ValueError, match=r"lacks model\.safetensors or model\.safetensors\.index\.json; .*dinov2-base"):
        ImageJudge(tmp_path)
    with pytest.raises(ValueError, match=r"kind 'siglip'; 'dinov2' is wanted"):
        ImageJudge(siglip)
    with pytest.raises(ValueError, match=r"lacks tokenizer_config\.json, spiece\.model or tokenizer\.json; .*siglip"):
        TextJudge(dino)
    with pytest.raises(ValueError, match="--download"):
        folder_of(str(tmp_path / "nowhere"), download=False)


def test_packages_that_are_missing_are_named(siglip, monkeypatch):
    """SigLIP's own tokenizer needs some that ComfyUI does not bring along."""

    def without_them(*args, **kwargs):
        raise ImportError("SiglipTokenizer requires the SentencePiece library")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", without_them)
    with pytest.raises(ValueError, match=r"requires the SentencePiece library\).*pip install sentencepiece protobuf"):
        TextJudge(siglip)
