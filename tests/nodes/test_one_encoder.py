"""Embeddings for SD 1.5, and for models with other encoders: loaded, inspected and rescaled on the host's own CLIP."""

from __future__ import annotations

import warnings
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

WIDTH = 64
SMALL = {"hidden_size": WIDTH, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def clip(comfy_modules):
    """SD 1.5's CLIP as the host makes it, smaller and with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import comfy.sd
        from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer, SDTokenizer

    with torch.inference_mode():
        clip = comfy.sd.CLIP(
            SimpleNamespace(params={}, clip=SD1ClipModel, tokenizer=SD1Tokenizer),
            embedding_directory=["as loaders give it, but empty"],
            tokenizer_data={"clip_l_tokenizer_class": partial(SDTokenizer, embedding_size=WIDTH)},
            model_options={"clip_l_model_config": SMALL, "dtype": torch.float32},
        )
        generator = torch.Generator().manual_seed(0)
        for weight in clip.cond_stage_model.parameters():
            weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    return clip


@pytest.fixture
def embeddings(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "embeddings", ([str(tmp_path)], {".safetensors"}))
    folder_paths.filename_list_cache.pop("embeddings", None)
    return tmp_path


@pytest.fixture
def shown(monkeypatch):
    """What nodes show, in order."""
    from dti_pack.nodes import load_embedding, mix, rescale, slerp, slerp_sweep
    from dti_pack.nodes.host.embeddings import unread

    texts: list[str] = []
    for module in (load_embedding, unread):
        monkeypatch.setattr(module, "show_on_node", lambda text, node_id: texts.append(text))
    nodes = (load_embedding.DTILoadEmbedding, rescale.DTIRescale, slerp.DTISlerp, slerp_sweep.DTISlerpSweep, mix.DTIMix)
    for node in nodes:
        monkeypatch.setattr(node, "hidden", SimpleNamespace(unique_id="1"), raising=False)
    return texts


def rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((n, dim), generator=torch.Generator().manual_seed(seed))


def test_an_embedding_of_one_encoder(clip, embeddings, shown, node_mode):
    from dti_pack.nodes.host.encoder_probe import EncoderProbe
    from dti_pack.nodes.inspector.inspection import inspect
    from dti_pack.nodes.load_embedding import DTILoadEmbedding
    from dti_pack.nodes.rescale import DTIRescale

    # A width that no encoder of full size has needs its key.
    save_file({"clip_l": 3 * rows(2, WIDTH)}, embeddings / "old.safetensors")
    embedding, knowing, trigger, _ = DTILoadEmbedding.execute("old.safetensors", clip).result
    assert trigger == " embedding:old "
    (found,) = inspect(EncoderProbe(clip), embedding, "a photo of a {}", {"clip_l": 10.0}).values()
    assert [vector.level for vector in found.norms.vectors] == ["very long"] * 2
    assert found.turning.per_block.shape == (2,)
    rescaled, knowing, trigger = DTIRescale.execute(embedding, clip, "mean", 1.0).result
    mean = EncoderProbe(clip).text_encoder.vocabularies["clip_l"].mean
    assert rescaled.norms()["clip_l"].tolist() == pytest.approx([mean] * 2)
    tokens = [token for token, _ in knowing.tokenize(f"a{trigger}b")["l"][0] if torch.is_tensor(token)]
    torch.testing.assert_close(torch.stack(tokens), rescaled.vectors["clip_l"])
    assert shown == ["an unknown model: clip_l 2 x 64"]


def test_encoders_that_the_clip_lacks_are_named_and_kept(clip, embeddings, shown, node_mode):
    from dti_pack.nodes.host.encoder_probe import EncoderProbe
    from dti_pack.nodes.inspector.inspection import inspect
    from dti_pack.nodes.inspector.report import summary_text
    from dti_pack.nodes.load_embedding import DTILoadEmbedding
    from dti_pack.nodes.mix import DTIMix
    from dti_pack.nodes.rescale import DTIRescale
    from dti_pack.nodes.slerp import DTISlerp
    from dti_pack.nodes.slerp_sweep import DTISlerpSweep

    save_file({"clip_l": rows(2, WIDTH), "clip_g": rows(3, 1280), "t5": rows(1, 4096)}, embeddings / "sd3.safetensors")
    embedding, _, _, _ = DTILoadEmbedding.execute("sd3.safetensors", clip).result
    rest = "The vectors for clip_g, t5xxl in '{}' are kept as they are and not used: this model reads clip_l."
    assert shown.pop().splitlines() == [
        "an unknown model: clip_l 2 x 64, clip_g 3 x 1280, t5xxl 1 x 4096",
        "A prompt alone would read this file differently or not at all: use the trigger and clip of this node.",
        rest.format("sd3"),
    ]
    found = inspect(EncoderProbe(clip), embedding, "a photo of a {}", {"clip_l": 10.0})
    assert rest.format("sd3") in summary_text(["sd3"], [embedding], [found]).splitlines()
    rescaled, _, _ = DTIRescale.execute(embedding, clip, "mean", 1.0).result
    assert shown == [rest.format("sd3-mean")]
    assert torch.equal(rescaled.vectors["t5xxl"], embedding.vectors["t5xxl"])
    assert torch.equal(rescaled.vectors["clip_g"], embedding.vectors["clip_g"])

    shown.clear()
    DTISlerp.execute(embedding, embedding, 0.5, "slerp", clip)
    DTISlerpSweep.execute(embedding, embedding, clip, "0, 1", "slerp")
    DTIMix.execute(embedding, embedding, clip=clip)
    assert [text.partition(" in ")[0] for text in shown] == ["The vectors for clip_g, t5xxl"] * 3


@pytest.mark.parametrize("name", ["M\u00fcller", "\u72ac", "\u0441/\u043e", "\u0939\u093f\u0902", "\U0001f436"])
def test_names_of_any_script_reach_a_prompt(clip, tmp_path, monkeypatch, name):
    """The file is found by the host itself, with a weight too."""
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.files.embedding_file import save_embedding
    from dti_pack.nodes.prompt_name import trigger

    save_embedding(ConceptEmbedding(name, {"clip_l": rows(1, WIDTH)}), tmp_path / f"{name}.safetensors")
    tokenizer = clip.tokenizer.clip_l
    monkeypatch.setattr(tokenizer, "embedding_directory", [str(tmp_path)])
    for prompt in (f"a photo of{trigger(name)}now", f"a photo of (embedding:{name}:1.3) now", f"embedding:{name}"):
        (window,) = tokenizer.tokenize_with_weights(prompt)
        assert sum(torch.is_tensor(token) for token, _ in window) == 1, prompt


def test_a_tokenizer_that_reads_no_files(clip, embeddings, shown, monkeypatch, node_mode):
    """As Gemma's and others of the host: there `embedding:` alone is plain text, and every node says so."""
    from comfy_execution.graph_utils import ExecutionBlocker
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.nodes.host.embeddings.saved_result import save_result
    from dti_pack.nodes.load_embedding import DTILoadEmbedding

    monkeypatch.setattr(clip.tokenizer.clip_l, "embedding_directory", None)
    saved = save_result(clip, ConceptEmbedding("dog", {"clip_l": rows(2, WIDTH)}), replace=False)
    assert saved.path == embeddings / "dog.safetensors"
    assert isinstance(saved.trigger, ExecutionBlocker)
    assert "Typing embedding:dog is not enough with this model: its clip_l reads no embedding files." in saved.message
    embedding, knowing, trigger, _ = DTILoadEmbedding.execute("dog.safetensors", clip).result
    assert trigger != " embedding:dog "
    assert "use the trigger and clip of this node" in shown[-1]
    tokens = [token for token, _ in knowing.tokenize(f"a{trigger}b")["l"][0] if torch.is_tensor(token)]
    torch.testing.assert_close(torch.stack(tokens), embedding.vectors["clip_l"])
    assert not any(torch.is_tensor(token) for token, _ in clip.tokenize("a embedding:dog b")["l"][0])


def test_files_of_other_families_are_refused_by_name(clip, embeddings, shown, node_mode):
    from dti_pack.nodes.load_embedding import DTILoadEmbedding

    save_file({"emb_params": rows(1, 1024)}, embeddings / "sd2.safetensors")
    with pytest.raises(ValueError, match=r"'sd2' is for SD2 \(clip_h 1024\), but this model .*needs clip_l 64"):
        DTILoadEmbedding.execute("sd2.safetensors", clip)
