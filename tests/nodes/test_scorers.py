"""Features through the host against transformers itself, with the same weights; what cannot score is refused."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what torchvision says while it loads
    from benchmarks.small_scorers import small_clip, small_dino
    from tests.benchmarks.dreambooth.tiny_judges import WORDS, noise, write_siglip

TEXTS = ("a photo of a dog", "a (very) red cup on top of a wooden floor", "grass")
# The issue's own; both compute in float32, in another order.
CLOSE = 1e-4


@pytest.fixture(scope="module")
def scorers(comfy_modules, tmp_path_factory):
    """By name, each as transformers has it and as a CLIP_VISION of the host."""
    import small_vision

    file = tmp_path_factory.mktemp("scorers") / "scorer.safetensors"

    def loaded(make, *width):
        model = make(file, *width)
        return SimpleNamespace(vision=small_vision.load(str(file)), model=model)

    widths = {"clip_g": 96, "clip_l": 64, "other": 48}
    return {"dino": loaded(small_dino), **{name: loaded(small_clip, width) for name, width in widths.items()}}


def pictures(size):
    """Photos of exactly the size that the model reads, so that nobody's resizing matters; and one that is not."""
    return [
        torch.from_numpy(np.asarray(Image.fromarray(getattr(data, name)()).resize((size, size))) / 255).float()
        for name in ("chelsea", "coffee", "astronaut")
    ]


def normalized(images, mean, std):
    return (torch.stack(images).movedim(-1, 1) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def cosine(left, right):
    return torch.nn.functional.cosine_similarity(left[:, None].double(), right[None].double(), dim=-1)


@torch.inference_mode()
def test_likeness_is_that_of_a_plain_script_with_dinov2(scorers, node_mode):
    from dti_pack.dti_core.scoring.similarity import likeness, likeness_among
    from dti_pack.nodes.host.scoring.vision import image_features

    images = pictures(518)
    pixels = normalized(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    theirs = scorers["dino"].model(pixel_values=pixels).last_hidden_state[:, 0]
    ours = image_features(scorers["dino"].vision, images)
    expected = cosine(theirs[:1], theirs[1:])
    assert expected.max() < 0.99  # a model to which all is alike would agree with anything
    assert likeness(ours[:1], ours[1:]).tolist() == pytest.approx([float(expected.mean())], abs=CLOSE)
    assert likeness_among(ours[1:]) == pytest.approx(float(cosine(theirs[1:2], theirs[2:])), abs=CLOSE)


@pytest.fixture(scope="module")
def their_text(models):
    """The small checkpoint's own CLIP-G as transformers has it."""
    from small_sdxl import text_config
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    own = models.clip.cond_stage_model.clip_g.transformer.state_dict()
    model = CLIPTextModelWithProjection(CLIPTextConfig(**text_config(96), hidden_act="gelu", eos_token_id=49407))
    missing = model.load_state_dict({name: tensor.float() for name, tensor in own.items()}, strict=False).missing_keys
    assert not [name for name in missing if "position_ids" not in name]
    return model.eval()


@torch.inference_mode()
def test_text_is_that_of_a_plain_script_with_clip(scorers, models, their_text, node_mode):
    from dti_pack.nodes.host.scoring.text import ClipText

    images = pictures(56)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    theirs = scorers["clip_g"].model(pixel_values=normalized(images, mean, std)).image_embeds
    tokenizer = models.clip.tokenizer.clip_g.tokenizer
    ids = tokenizer([text.replace("(very)", "very") for text in TEXTS], padding=True, return_tensors="pt").input_ids
    texts = their_text(input_ids=ids).text_embeds
    ours = ClipText(scorers["clip_g"].vision, models.clip, TEXTS)(images)
    expected = cosine(theirs, texts)
    assert (expected[:, :1] - expected[:, 1:]).abs().max() > 0.01
    torch.testing.assert_close(ours, expected, rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_what_the_clip_of_the_graph_has_been_set_to_is_left_as_it_was(scorers, models, node_mode):
    from dti_pack.nodes.host.scoring.text import text_features

    encoder = models.clip.cond_stage_model.clip_g
    before = models.clip.encode_from_tokens(models.clip.tokenize("a dog"), return_pooled=True)
    text_features(scorers["clip_g"].vision, models.clip, TEXTS)
    assert (encoder.layer, encoder.layer_idx, encoder.return_projected_pooled) == encoder.options_default
    after = models.clip.encode_from_tokens(models.clip.tokenize("a dog"), return_pooled=True)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_does_not_belong_together_is_refused(scorers, models, node_mode):
    from dti_pack.nodes.host.scoring.text import text_encoder_for, text_features

    assert text_encoder_for(scorers["clip_g"].vision, models.clip) == "clip_g"
    with pytest.raises(ValueError, match=r"not a CLIP \(Dinov2Model\).*dinov2-large"):
        text_encoder_for(scorers["dino"].vision, models.clip)
    with pytest.raises(ValueError, match=r"48 wide\), and the text encoders are clip_l .*\(64\), clip_g .*text_clip"):
        text_encoder_for(scorers["other"].vision, models.clip)
    with pytest.raises(ValueError, match="longer than what CLIP reads, 75 tokens"):
        text_features(scorers["clip_g"].vision, models.clip, ["a dog " * 50])


def test_a_projection_that_no_file_had_is_refused(scorers, models, node_mode):
    from dti_pack.nodes.host.scoring.text import text_encoder_for

    weight = models.clip.cond_stage_model.clip_l.transformer.text_projection.weight
    before = weight.detach().clone()
    try:
        for unset in (0.0, float("nan"), 6e4):
            weight.data.fill_(unset)
            with pytest.raises(ValueError, match="clip_l came without its text projection"):
                text_encoder_for(scorers["clip_l"].vision, models.clip)
    finally:
        weight.data.copy_(before)


def test_a_model_that_gives_no_one_vector_is_refused(node_mode):
    from dti_pack.nodes.host.scoring.vision import image_features

    tokens = SimpleNamespace(encode_image=lambda images: {"image_embeds": torch.zeros(len(images), 9, 4)})
    broken = SimpleNamespace(encode_image=lambda images: {"image_embeds": torch.full((len(images), 4), float("nan"))})
    with pytest.raises(ValueError, match="SigLIP"):
        image_features(tokens, pictures(16))
    with pytest.raises(ValueError, match="not numbers"):
        image_features(broken, pictures(16))


def test_images_of_different_sizes_stay_in_order(node_mode):
    from dti_pack.nodes.host.scoring.vision import image_features

    def means(images):
        return {"image_embeds": images.mean(dim=(1, 2))}

    images = [torch.full((edge, 8, 3), edge / 100) for edge in (8, 8, 16, 8, *[32] * 9)]
    found = image_features(SimpleNamespace(encode_image=means), images)
    assert found[:, 0].tolist() == pytest.approx([edge / 100 for edge in (8, 8, 16, 8, *[32] * 9)])


@pytest.fixture
def siglip(comfy_modules, tmp_path, monkeypatch):
    """A folder `siglip` in models/clip_vision."""
    import folder_paths

    write_siglip(tmp_path / "vision" / "siglip")
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path / "vision")])
    return tmp_path / "vision" / "siglip"


def test_siglip_gives_the_authors_probability_of_every_text(siglip):
    from dti_pack.nodes.host.scoring.siglip import Siglip
    from dti_pack.nodes.host.scoring.siglip_text import SiglipText

    texts = [f"a {word} in the snow" for word in WORDS[:3]]
    images = [noise(seed) for seed in range(10)]
    ours = SiglipText("siglip", texts)([torch.from_numpy(np.asarray(image).copy()) / 255 for image in images])
    judge = Siglip(siglip)
    for number, text in enumerate(texts):
        logits = judge.logits(images, [f"{text}."] * 10)
        torch.testing.assert_close(ours[:, number], torch.sigmoid(logits), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", ["nothing", "..", "../other", "."])
def test_a_folder_of_siglip_lies_in_clip_vision(siglip, name):
    from dti_pack.nodes.host.scoring.siglip_text import siglip_folder

    (siglip.parents[1] / "other").mkdir()
    with pytest.raises(ValueError, match="no such folder in models/clip_vision"):
        siglip_folder(name)
