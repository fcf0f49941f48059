"""An embedding in memory means to a prompt what a file means, and touches neither the disk nor the given CLIP."""

from __future__ import annotations

import copy
import os

import pytest
import torch
from safetensors.torch import save_file

PROMPTS = (
    "a photo of {} in the rain",
    "{}",
    "embedding:{}",
    "embedding:{}, in the rain",
    "embedding:{},, embedding:{},and",
    "a ,embedding:{}",
    "a embedding:,{}",
    "(embedding:{}:1.3) in the rain",
    "((a embedding:{} here)) [embedding:{}]",
    "(embedding:{}, a dog:0.5)",
    "a\nembedding:{}\nin the rain",
    "embedding:{}.",
    "embedding:{}<x>",
    "embedding:{}[x]",
    "embedding:other embedding:{} embedding:none",
    "a long prompt of many words " * 12 + "embedding:{} " * 9,
)


def word(name, n_vectors, scale=1.0):
    from dti_pack.dti_core.embedding import ConceptEmbedding

    generator = torch.Generator().manual_seed(n_vectors)
    vectors = {key: scale * torch.randn((n_vectors, width), generator=generator) for key, width in WIDTHS.items()}
    return ConceptEmbedding(name, vectors)


WIDTHS = {"clip_l": 64, "clip_g": 96}


@pytest.fixture
def clip(models, tmp_path):
    """The small SDXL's CLIP, whose embeddings lie in `tmp_path`: `other`, and whatever a test adds."""
    from dti_pack.dti_core.files.embedding_file import save_embedding

    save_embedding(word("other", 3), tmp_path / "other.safetensors")
    clone = models.clip.clone()
    clone.tokenizer = copy.copy(clone.tokenizer)
    for key in WIDTHS:
        tokenizer = copy.copy(getattr(clone.tokenizer, key))
        tokenizer.embedding_directory = [str(tmp_path)]
        setattr(clone.tokenizer, key, tokenizer)
    return clone


def assert_same_tokens(left, right):
    assert left.keys() == right.keys()
    for key in left:
        for window, other_window in zip(left[key], right[key], strict=True):
            for one, other in zip(window, other_window, strict=True):
                assert type(one[0]) is type(other[0]) and one[1:] == other[1:]
                assert torch.equal(torch.as_tensor(one[0]), torch.as_tensor(other[0]))


@pytest.mark.parametrize("n_vectors", [1, 3, 9, 80])
def test_a_prompt_reads_it_as_it_reads_a_file(clip, node_mode, tmp_path, n_vectors):
    from dti_pack.dti_core.files.embedding_file import save_embedding
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    knowing, trigger = clip_with_embedding(clip, word("dog", n_vectors))
    name = trigger.strip().removeprefix("embedding:")
    in_memory = {p: knowing.tokenize(p.replace("{}", name), return_word_ids=True) for p in PROMPTS}
    assert os.listdir(tmp_path) == ["other.safetensors"]
    save_embedding(word("dog", n_vectors), tmp_path / f"{name}.safetensors")
    for prompt, tokens in in_memory.items():
        assert_same_tokens(tokens, clip.tokenize(prompt.replace("{}", name), return_word_ids=True))


def test_what_is_cloned_from_it_knows_it_too(clip, node_mode):
    """As LoRA loaders, CLIP Set Last Layer and packs that change the tokenizer hand it on."""
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    knowing, trigger = clip_with_embedding(clip, word("dog", 2))
    copied, deeply = knowing.clone(), knowing.clone()
    copied.clip_layer(-2)
    copied.tokenizer = copy.copy(copied.tokenizer)
    copied.tokenizer.clip_l = copy.copy(copied.tokenizer.clip_l)
    deeply.tokenizer = copy.deepcopy(deeply.tokenizer)
    wanted = knowing.tokenize(f"a{trigger}now")
    assert sum(torch.is_tensor(token) for token, _ in wanted["l"][0]) == 2
    for clone in (knowing.clone(), copied, deeply):
        assert_same_tokens(clone.tokenize(f"a{trigger}now"), wanted)


def test_two_in_one_prompt_keep_apart_though_they_are_called_alike(clip, node_mode):
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    one, first = clip_with_embedding(clip, word("dog", 1))
    both, second = clip_with_embedding(one, word("pets/dog", 1, scale=2.0))
    tokens = [token for token, _ in both.tokenize(f"a{first}and{second}")["l"][0] if torch.is_tensor(token)]
    assert torch.equal(tokens[0], word("dog", 1).vectors["clip_l"][0])
    assert torch.equal(tokens[1], 2 * tokens[0])
    assert not any(torch.is_tensor(token) for token, _ in one.tokenize(second)["l"][0])


def test_a_file_called_alike_stays_what_it_is(clip, node_mode):
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    knowing, _ = clip_with_embedding(clip, word("other", 1))
    assert_same_tokens(knowing.tokenize("a embedding:other"), clip.tokenize("a embedding:other"))


def test_the_given_clip_is_left_alone(clip, node_mode):
    from comfy.sd1_clip import SDTokenizer
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    def state():
        tokenizers = [clip.tokenizer, *(getattr(clip.tokenizer, key) for key in WIDTHS)]
        return [(id(one), type(one), dict(vars(one))) for one in tokenizers], dict(vars(SDTokenizer))

    before = state()
    _, trigger = clip_with_embedding(clip, word("dog", 1))
    assert state() == before
    assert not any(torch.is_tensor(token) for token, _ in clip.tokenize(trigger)["l"][0])


def test_a_clip_that_looks_for_no_files(clip, node_mode):
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    for key in WIDTHS:
        getattr(clip.tokenizer, key).embedding_directory = None
    knowing, trigger = clip_with_embedding(clip, word("dog", 1))
    assert any(torch.is_tensor(token) for token, _ in knowing.tokenize(trigger)["g"][0])


def test_training_finds_its_slots_and_no_others(clip, node_mode, tmp_path):
    """Whole numbers in another embedding of the caption, and a file called as the slots are, change nothing."""
    from dti_pack.nodes.host.training.text_encoder import SLOTS, HostTextEncoder

    for name in ("ones", SLOTS):
        save_file({key: torch.ones(1, width) for key, width in WIDTHS.items()}, tmp_path / f"{name}.safetensors")
    encoder = HostTextEncoder(clip, clip.cond_stage_model)
    places = encoder.slot_positions("a embedding:ones and {}, here", 2)
    # Start, "a", one vector, "and", and the two slots.
    assert places == {key: [(0, 4), (0, 5)] for key in WIDTHS}
    assert sorted(os.listdir(tmp_path)) == sorted(["other.safetensors", "ones.safetensors", f"{SLOTS}.safetensors"])


def test_several_concepts_stand_where_a_caption_names_them(clip):
    """Rows by parts, in order or exchanged, are what one embedding of the same rows is."""
    from dti_pack.nodes.host.training.text_encoder import HostTextEncoder

    encoder = HostTextEncoder(clip, clip.cond_stage_model)
    generator = torch.Generator().manual_seed(0)
    rows = {key: torch.randn((3, width), generator=generator) for key, width in WIDTHS.items()}
    turned = {key: vectors[[1, 2, 0]] for key, vectors in rows.items()}
    with torch.no_grad():
        parts = encoder.encode(["a {0:1} {1:3} here", "a {1:3} {0:1} here", "a {1:3} here"], rows)
        wholes = [encoder.encode(["a {} here"], vectors) for vectors in (rows, turned)]
    for number, whole in enumerate(wholes):
        # The host's batch of three, against batches of one.
        torch.testing.assert_close(parts.context[number], whole.context[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(parts.pooled[number], whole.pooled[0], rtol=0, atol=1e-5)
    assert (parts.context[2] - parts.context[1]).abs().max() > 1e-2
    assert encoder.slot_positions("a {1:3} and {0:1}", 3) == {key: [(0, 2), (0, 3), (0, 5)] for key in WIDTHS}


def test_a_tokenizer_that_loses_the_concept_is_refused(clip, node_mode, monkeypatch):
    from dti_pack.nodes.host.training.text_encoder import HostTextEncoder

    monkeypatch.setattr(clip.tokenizer.clip_g, "embedding_identifier", "word:")
    encoder = HostTextEncoder(clip, clip.cond_stage_model)
    with pytest.raises(RuntimeError, match=r"tokenizer for g put 0 of 2 vectors.*'a \{\}'"):
        encoder.slot_positions("a {}", 2)
