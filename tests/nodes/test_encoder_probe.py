"""What Norm Inspector reads off the host's text encoders, against the host's own intermediate outputs."""

from __future__ import annotations

import dataclasses
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from tests.rounding import EPS32

PROMPT = "a photo of a {} in the snow"
# Hidden states reach 7 and pass through all blocks. How many prompts go together may change the order of sums in each:
# some ten eps of the largest. Another layer, token or window is off by 1.
STATES = {"atol": 100 * 7 * EPS32, "rtol": 0}


@pytest.fixture
def probe(models, node_mode):
    from dti_pack.nodes.host.encoder_probe import EncoderProbe

    return EncoderProbe(models.clip)


def embedding(probe, name="my_word", n_vectors=1, scale=1.0, **metadata):
    from dti_pack.dti_core.embedding import ConceptEmbedding

    generator = torch.Generator().manual_seed(3)
    vectors = {
        key: scale * torch.randn((n_vectors, v.dim), generator=generator) / v.dim**0.5
        for key, v in probe.text_encoder.vocabularies.items()
    }
    return ConceptEmbedding(name, vectors, metadata)


def word(probe, text):
    ids = probe.text_encoder.token_ids(text)
    return {key: vocabulary.rows(ids[key]) for key, vocabulary in probe.text_encoder.vocabularies.items()}


def all_layers(clip, key, text):
    """The host's own hidden states of a typed prompt, [n_windows, n_tokens, L, dim], before the last norm."""
    encoder = getattr(clip.cond_stage_model, key)
    windows = clip.tokenize(text)[key.removeprefix("clip_")]
    tokens = [[token for token, _ in window] for window in windows]
    embeds, _, num_tokens, _ = encoder.process_tokens(tokens, torch.device("cpu"))
    outputs = encoder.transformer(
        None, embeds=embeds, num_tokens=num_tokens, intermediate_output="all", final_layer_norm_intermediate=False
    )
    return outputs[1].transpose(1, 2)


@pytest.mark.parametrize("key", ["clip_l", "clip_g"])
def test_hidden_states_are_the_hosts(models, probe, key):
    states = probe.hidden_states(PROMPT, word(probe, "dog"))[key]
    own = all_layers(models.clip, key, PROMPT.replace("{}", "dog"))[0, 5]
    assert states.shape == (1, len(own) + 1, own.shape[-1])
    torch.testing.assert_close(states[0, 1:], own, **STATES)


@pytest.mark.parametrize("key", ["clip_l", "clip_g"])
def test_last_hidden_states_are_what_leaves_the_encoder(models, probe, key):
    states = probe.last_hidden_states("dog")[key]
    encoder = getattr(models.clip.cond_stage_model, key)
    windows = models.clip.tokenize("dog")[key.removeprefix("clip_")]
    embeds, _, n_tokens, _ = encoder.process_tokens([[token for token, _ in window] for window in windows], "cpu")
    own = encoder.transformer(None, embeds=embeds, num_tokens=n_tokens)[0]
    # Behind the last norm they are of size 1.
    torch.testing.assert_close(states, own[0, 1:2].float(), atol=100 * EPS32, rtol=0)


@pytest.mark.parametrize("key", ["clip_l", "clip_g"])
def test_the_first_state_is_vector_plus_position(probe, key):
    vectors = embedding(probe, n_vectors=3).vectors
    states = probe.hidden_states(PROMPT, vectors)[key]
    torch.testing.assert_close(states[:, 0], vectors[key] + probe.first_norms[key].positions[5:8])


@pytest.mark.parametrize("key", ["clip_l", "clip_g"])
def test_the_first_norm_is_the_encoders(models, probe, key):
    """What LN1 makes of the token at its position is what the probe's norm makes of it there."""
    encoder = getattr(models.clip.cond_stage_model, key).transformer.text_model
    first = probe.first_norms[key]
    token = word(probe, "dog")[key][0]
    assert first.positions.shape == (77, token.shape[0])
    embedded = token + encoder.embeddings.position_embedding.weight.float()
    torch.testing.assert_close(first(token), encoder.encoder.layers[0].layer_norm1(embedded).float())


def test_encoders_with_different_numbers_of_vectors(probe):
    """Each encoder's states are those that it has where the other has as many."""
    vectors = embedding(probe, n_vectors=3).vectors
    uneven = {"clip_l": vectors["clip_l"], "clip_g": vectors["clip_g"][:1]}
    states = probe.hidden_states(PROMPT, uneven)
    whole = probe.hidden_states(PROMPT, vectors)
    torch.testing.assert_close(states["clip_l"], whole["clip_l"])
    single = probe.hidden_states(PROMPT, {key: rows[:1] for key, rows in vectors.items()})
    torch.testing.assert_close(states["clip_g"], single["clip_g"])


def test_a_word_in_the_second_window_is_found(models, probe):
    prompt = "very " * 80 + "{}"
    states = probe.hidden_states(prompt, word(probe, "dog"))["clip_l"]
    own = all_layers(models.clip, "clip_l", prompt.replace("{}", "dog"))
    assert own.shape[0] == 2
    torch.testing.assert_close(states[0, 1:], own[1, 6], **STATES)


def test_another_embedding_in_the_prompt_is_left_alone(models, probe):
    from dti_pack.nodes.host.encoder_probe import EncoderProbe
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    clip, trigger = clip_with_embedding(models.clip, embedding(probe, "style", n_vectors=2))
    prompt = f"a {{}} in the style of{trigger}today"
    states = EncoderProbe(clip).hidden_states(prompt, word(probe, "dog"))["clip_g"]
    own = all_layers(clip, "clip_g", prompt.replace("{}", "dog"))
    torch.testing.assert_close(states[0, 1:], own[0, 2], **STATES)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_on_the_models(models, probe, fails, monkeypatch):
    def state():
        return [
            (id(module), [id(p) for p in module._parameters.values()], len(module._forward_hooks),
             len(module._forward_pre_hooks))
            for module in models.clip.cond_stage_model.modules()
        ]  # fmt: skip

    before = state()
    if fails:
        monkeypatch.setattr(type(probe.text_encoder), "encode", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            probe.hidden_states(PROMPT, word(probe, "dog"))
    else:
        probe.hidden_states(PROMPT, word(probe, "dog"))
    assert state() == before


def inspected(probe, one):
    from dti_pack.nodes.inspector.inspection import inspect

    return inspect(probe, one, PROMPT, {key: 1.0 for key in one.vectors})


def test_a_word_inspected_as_its_own_initializer_has_its_turns(probe):
    from dti_pack.dti_core.embedding import ConceptEmbedding

    one = ConceptEmbedding("copy", word(probe, "dog"), {"dti.initializer": "dog"})
    for found in inspected(probe, one).values():
        assert found.reference_label == "initializer 'dog'"
        # Degrees of float32: an eps is 7e-6, of a state of 7 a hundred eps are 5e-3.
        assert found.norms.vectors[0].initializer_angle == pytest.approx(0, abs=1e-3)
        torch.testing.assert_close(found.turning.per_block, found.reference.per_block, atol=5e-3, rtol=0)
        assert found.norms.vectors[0].by_cosine[0].word == "dog</w>"


@pytest.mark.parametrize("initializer", ["", "zzqxvw", "a b c d e"])
def test_an_initializer_that_cannot_be_used_or_is_longer_still_gives_a_report(probe, initializer):
    one = embedding(probe, **{"dti.initializer": initializer})
    for found in inspected(probe, one).values():
        assert (found.norms.vectors[0].initializer_angle is None) == (initializer != "a b c d e")


def test_a_longer_vector_loses_position_and_turns_less(probe):
    short, long = (inspected(probe, embedding(probe, scale=scale)) for scale in (0.4, 8.0))
    for key in short:
        assert long[key].position.own.item() < short[key].position.own.item() / 8
        assert long[key].turning.per_block[0] < short[key].turning.per_block[0]
        # One direction at one length, but reached by two divisions; the first block turns it by 80 degrees.
        assert long[key].reference.per_block[0] == pytest.approx(short[key].reference.per_block[0].item(), abs=5e-3)


@pytest.mark.parametrize(("scale", "n_vectors", "count"), [(0.0, 1, 1), (0.4, 2, 1), (7.0, 1, 4), (0.4, 1, 9)])
def test_a_page_for_each_encoder(probe, scale, n_vectors, count):
    from dti_pack.nodes.inspector.figure import EncoderPage, draw_pages

    one = embedding(probe, n_vectors=n_vectors, scale=scale)
    found = inspected(probe, one)
    names = ["_hidden $x$ name, longer than there is room for"] * count
    pages = [
        EncoderPage(key, v.norms[v.is_word], names, [found[key]] * count)
        for key, v in probe.text_encoder.vocabularies.items()
    ]
    pictures = draw_pages(pages)
    assert pictures.shape == (2, 768, 1024, 3)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0 and pictures.max() == 1
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("times", [0.5, 1.0, 1.9, 2.2, 3.9, 4.1, 5.0, 5.5, 6.0, 7.0, 7.5, 20.0, 900.0])
def test_the_names_of_the_bands_are_whole(probe, times):
    from dti_pack.nodes.inspector.figure import EncoderPage, _draw_norms
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    vocabulary = probe.text_encoder.vocabularies["clip_l"]
    word = torch.zeros(1, vocabulary.dim)
    word[0, 0] = times * vocabulary.mean
    norms = norm_report_of(vocabulary, word)
    axes = FigureCanvasAgg(Figure(figsize=(10.24, 7.68), dpi=100)).figure.add_axes((0.085, 0.5, 0.89, 0.3))
    _draw_norms(axes, EncoderPage("clip_l", vocabulary.norms, ["one"], [SimpleNamespace(norms=norms)]))
    shown = [text for text in axes.texts if axes.get_xlim()[0] <= text.get_position()[0] < axes.get_xlim()[1]]
    assert [text.get_text() for text in shown] == ["long", "very long"][: 1 + (times >= 4)]
    ends = [text.get_window_extent() for text in shown]
    assert all(end.x1 <= axes.bbox.x1 for end in ends)
    assert all(left.x1 <= right.x0 for left, right in pairwise(ends))


def norm_report_of(vocabulary, vectors):
    from dti_pack.dti_core.analysis.norms import norm_report

    return norm_report(vocabulary, vectors, k=1)


def test_an_encoder_without_positions_has_two_panels(probe):
    from dti_pack.nodes.inspector.figure import EncoderPage, draw_pages
    from dti_pack.nodes.inspector.report import report_text

    one = embedding(probe)
    found = {"t5xxl": dataclasses.replace(inspected(probe, one)["clip_l"], position=None)}
    vocabulary = probe.text_encoder.vocabularies["clip_l"]
    draw_pages([EncoderPage("t5xxl", vocabulary.norms[vocabulary.is_word], ["one"], [found["t5xxl"]])])
    assert "adds no positions" in report_text(["one"], [one], [found])


def test_a_huge_header_entry_is_cut(probe):
    from dti_pack.nodes.inspector.report import report_text

    one = embedding(probe, **{"modelspec.thumbnail": "x" * 100000})
    assert len(report_text(["one"], [one], [inspected(probe, one)])) < 5000


def test_missing_matplotlib_is_named(probe, monkeypatch):
    from dti_pack.nodes import norm_inspector

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("inspector.figure", "plot_style"):
        monkeypatch.delitem(sys.modules, f"dti_pack.nodes.{name}", raising=False)
    with pytest.raises(RuntimeError, match=r"matplotlib.*pip install matplotlib"):
        norm_inspector._pictures(probe, ["one"], [inspected(probe, embedding(probe))])
