"""Words measured on images in the host: what is measured, Stop, and memory that runs out; and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.nodes.test_session import state

WORDS = ["cat", "teapot", "stuffed animal"]
PICTURES = [torch.rand((64, 64, 3), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]


@pytest.fixture
def shown(monkeypatch, comfy_modules):
    from dti_pack.nodes.host.training import suggestion

    texts = []
    monkeypatch.setattr(suggestion, "show_on_node", lambda text, node_id: texts.append(text))
    return texts


@pytest.fixture
def measure(models, shown, node_mode):
    """Losses by word and what is left out, as the node asks for them."""
    from dti_pack.nodes.host.training.suggestion import suggestion_losses

    def measure(nouns=WORDS, pictures=PICTURES):
        one = {**vars(models), "resolution": 64, "samples": 6}
        return suggestion_losses(one, pictures, [("a photo of a {}", "the {}")] * len(pictures), nouns, "7")

    return measure


def test_each_word_is_measured_as_a_concept_on_the_same(models, measure, shown):
    from dti_pack.dti_core.training.evaluation_set import EvaluationSet
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.vae import encode_images

    before = state(models)
    losses, left_out = measure([*WORDS, "zxqvy", "a (b)"])
    assert state(models) == before
    assert left_out == ["zxqvy", "a (b)"] and list(losses) == WORDS
    images = encode_images(models.vae, PICTURES, 64, [("a photo of a {}", "the {}")] * 2)
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        measured = EvaluationSet(text_encoder, denoiser, images, 6)
        for word, found in losses.items():
            # In passes of four and all at once: sums in another order.
            torch.testing.assert_close(found, measured.losses(text_encoder.word_rows(word)), rtol=1e-4, atol=0)
    assert len({float(own.mean()) for own in losses.values()}) == 3
    assert shown[-1].startswith("3 of 3 nouns, the best so far: ")


def test_stop_within_a_word(models, measure, monkeypatch):
    import comfy.model_management
    from dti_pack.nodes.host.training import held_out

    before, passes, loss = state(models), [], held_out.InterruptibleDenoiser.loss

    def stopped(self, *args):
        passes.append(1)
        if len(passes) == 4:
            comfy.model_management.interrupt_current_processing()
        return loss(self, *args)

    monkeypatch.setattr(held_out.InterruptibleDenoiser, "loss", stopped)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        measure()
    assert len(passes) == 4 and state(models) == before
    assert not getattr(comfy.model_management, "in_training", False)


def test_out_of_memory_measures_the_same_with_less(measure, monkeypatch):
    from dti_pack.nodes.host.training import held_out

    whole, _ = measure()
    rows, loss = [], held_out.InterruptibleDenoiser.loss

    def full(self, latents, *args):
        rows.append(len(latents))
        if len(latents) > 1:
            raise torch.cuda.OutOfMemoryError("no memory")
        return loss(self, latents, *args)

    monkeypatch.setattr(held_out.InterruptibleDenoiser, "loss", full)
    found, _ = measure()
    assert rows == [4, 2, *[1] * 18]
    for word, losses in whole.items():
        torch.testing.assert_close(found[word], losses, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("nouns", "pictures", "message"),
    [(["dog", "zxqvy"], PICTURES, r"know dog of the nouns dog, zxqvy"), (WORDS, [], "no images")],
)
def test_nothing_to_choose_from(measure, nouns, pictures, message):
    with pytest.raises(ValueError, match=message):
        measure(nouns, pictures)


def test_the_default_nouns_are_one_token_each(models):
    from dti_pack.nodes.host.encoders import sub_tokenizers
    from dti_pack.nodes.host.training.text_encoder import token_ids
    from dti_pack.nodes.suggest_initializer import NOUNS, parsed_nouns

    nouns = parsed_nouns(NOUNS)
    assert 60 <= len(nouns) <= 80 and len(set(nouns)) == len(nouns)
    tokenizers = sub_tokenizers(models.clip)
    assert {word for word in nouns for ids in token_ids(tokenizers, word).values() if len(ids) > 1} == set()


def test_nouns_as_they_are_typed(comfy_modules):
    from dti_pack.nodes.suggest_initializer import parsed_nouns

    assert parsed_nouns(" dog, stuffed   animal;\ncat,,dog\n") == ["dog", "stuffed animal", "cat"]
    for text in ("", " dog ,dog", ",\n"):
        with pytest.raises(ValueError, match="at least two words"):
            parsed_nouns(text)


def test_what_is_said(comfy_modules):
    from dti_pack.nodes.word_report import word_report

    def word(name, loss, above, spread):
        return SimpleNamespace(word=name, loss=loss, above=above, spread=spread, is_apart=above > spread)

    best, near, far = word("star", 0.5, 0.0, 0.0), word("ring", 0.505, 0.005, 0.01), word("fish", 0.6, 0.1, 0.02)
    assert word_report([best, near, far], 24, 4, ["zxqvy"]).splitlines() == [
        "star: the lowest loss of 3 nouns, on 24 noisy copies of 4 images",
        "not told from it by these images (95 %): ring",
        "1. star  loss 0.5000",
        "2. ring  +1.00 % (+/- 2.00)",
        "3. fish  +20.00 % (+/- 4.00)",
        "left out, since the text encoders do not know them whole: zxqvy",
    ]
    many = [best, *[word(f"w{n}", 0.6, 0.1, 0.02) for n in range(2, 14)]]
    lines = word_report(many, 24, 1, []).splitlines()
    assert lines[1] == "every other noun is worse beyond the 95 % interval"
    assert lines[0].endswith("of 1 image") and len(lines) == 13
    assert lines[-1] == "the last, 13. w13  +20.00 % (+/- 4.00)"
    assert "tell none of the others from it: ring." in word_report([best, near], 24, 4, [])
