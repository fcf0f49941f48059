"""T5, Gemma and Qwen as text encoders, alone and beside CLIP: on small models of the families that have them."""

from __future__ import annotations

import warnings

import pytest
import torch

# The first two are of unequal length to tokenizers that fill nothing up.
CAPTIONS = ("a photo of a {}", "a {} on a red table, in the rain")
FAMILIES = ("sd3", "flux", "chroma", "pixart_alpha", "lumina2", "z_image", "klein")


@pytest.fixture(scope="module")
def family(load_models, tmp_path_factory):
    """Models of a small family by its name; skips where the host does not have it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        from small_families.random_checkpoint import write
        from small_families.registry import FAMILIES as KNOWN

    folder, loaded = tmp_path_factory.mktemp("families"), {}

    def load(name):
        if name not in KNOWN:
            pytest.skip(f"this host has no {name}")
        if name not in loaded:
            write(folder / f"{name}.safetensors", KNOWN[name])
            loaded[name] = load_models(folder / f"{name}.safetensors")
        return loaded[name]

    return load


def fixed_loss(text_encoder, denoiser, rows=(0, 1)):
    """The loss of fixed data as a function of the vectors; of these captions."""
    generator = torch.Generator().manual_seed(7)
    edge = 48 if denoiser.model_type == "EPS" else 16  # PixArt counts positions in steps of 64 latents
    latents = torch.randn((2, denoiser.latent_channels, edge, edge), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    sigma = denoiser.sigmas(torch.tensor([0.3, 0.7]))
    framing = torch.tensor([[8 * edge, 8 * edge, 0, 0, 8 * edge, 8 * edge]])
    own = list(rows)

    def loss(vectors):
        conditioning = text_encoder.encode([CAPTIONS[row] for row in own], vectors)
        return denoiser.loss(latents[own], conditioning, sigma[own], noise[own], framing.expand(len(own), -1))

    return loss


@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_and_texts_of_unequal_length(family, node_mode, name):
    """Against central differences, and samples together against each alone."""
    from dti_pack.nodes.host.training.session import training_session

    models = family(name)
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        loss, start = fixed_loss(text_encoder, denoiser), text_encoder.word_rows("dog")
        vectors = {key: rows.clone().requires_grad_() for key, rows in start.items()}
        together = loss(vectors)
        together.mean().backward()
        for key, rows in start.items():
            gradient = vectors[key].grad
            # Random weights of such a depth bend the loss within a per cent of a vector's norm.
            step = 2e-3 * rows.norm() * gradient / gradient.norm()
            with torch.no_grad():
                ahead, behind = (loss({**start, key: rows + sign * step}).double().mean() for sign in (1, -1))
            slope = ((ahead - behind) / (2 * step.norm())).item()
            assert slope == pytest.approx(gradient.norm().item(), rel=0.02), key
        with torch.no_grad():
            alone = [fixed_loss(text_encoder, denoiser, (row,))(start).item() for row in (0, 1)]
        assert together.tolist() == pytest.approx(alone, rel=1e-3)


def test_attention_that_cuts_the_gradient_is_refused(family, node_mode, monkeypatch):
    """As SageAttention's, in the family that takes the host's attention whatever a session asks for."""
    import comfy.ldm.pixart.blocks as blocks
    from dti_pack.nodes.host.training.session import training_session

    models, attention = family("pixart_alpha"), blocks.optimized_attention
    monkeypatch.setattr(blocks, "optimized_attention", lambda *args, **kwargs: attention(*args, **kwargs).detach())
    with pytest.raises(ValueError, match="without --use-sage-attention"), training_session(models.model, models.clip):
        pass


@pytest.mark.parametrize("name", ["sd3", "flux", "pixart_alpha", "lumina2"])
def test_gradient_is_the_same_with_less_kept(family, node_mode, name):
    from dti_pack.nodes.host.training.memory import TrainingMemory
    from dti_pack.nodes.host.training.memory_plan import PLANS
    from dti_pack.nodes.host.training.session import training_session

    models, found = family(name), {}
    for plan in PLANS[0], PLANS[3]:
        kept = []
        with training_session(models.model, models.clip, TrainingMemory([plan])) as (text_encoder, denoiser):
            vectors = {key: rows.requires_grad_() for key, rows in text_encoder.word_rows("dog").items()}
            with torch.autograd.graph.saved_tensors_hooks(
                lambda t, kept=kept: (kept.append(t.numel()), t)[1], lambda t: t
            ):
                loss = fixed_loss(text_encoder, denoiser)(vectors).mean()
            loss.backward()
        found[plan.name] = sum(kept), torch.cat([rows.grad.flatten() for rows in vectors.values()])
    (most, whole), (least, recomputed) = found.values()
    assert least < most / 2
    torch.testing.assert_close(recomputed, whole, rtol=1e-4, atol=1e-6 * float(whole.abs().max()))


def test_vectors_are_read_as_rows_of_the_table_are(family, node_mode):
    """Gemma makes rows longer, hosts differ in where; a file has them as the table has."""
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.nodes.host.encoder_probe import EncoderProbe
    from dti_pack.nodes.host.prompt.clip import clip_with_embedding

    clip = family("lumina2").clip
    probe = EncoderProbe(clip)
    row = probe.text_encoder.word_rows("dog")["gemma2_2b"]
    entered = probe.hidden_states("a photo of a {}", {"gemma2_2b": row})["gemma2_2b"][:, 0]
    torch.testing.assert_close(entered, row * row.shape[1] ** 0.5)

    knowing, trigger = clip_with_embedding(clip, ConceptEmbedding("same", {"gemma2_2b": row}))
    said = knowing.encode_from_tokens(knowing.tokenize(f"a photo of a{trigger}"))
    ours = probe.text_encoder.encode(["a photo of a{}"], {"gemma2_2b": row}).context
    torch.testing.assert_close(said, ours.to(said))


def test_encoders_that_are_held_stay_at_the_initializer(family, node_mode, tmp_path):
    """Training goes on in CLIP alone, and a stock prompt reads of the file what T5 read in training."""
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.files.embedding_file import load_embedding, save_embedding
    from dti_pack.dti_core.training import TrainingConfig, train
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.trained_encoders import encoder_notes, hold_others, trained_encoders
    from dti_pack.nodes.host.training.vae import encode_images

    models = family("flux")
    trained = trained_encoders(models.clip, "auto")
    assert trained == ["clip_l"]
    assert trained_encoders(models.clip, "all") == ["clip_l", "t5xxl"]
    assert trained_encoders(models.clip, "T5 or language model only") == ["t5xxl"]
    picture = torch.rand((64, 64, 3), generator=torch.Generator().manual_seed(1))
    data = encode_images(models.vae, [picture], 64, [("a photo of a {}",)])
    with training_session(models.model, models.clip) as (text_encoder, denoiser):
        rows = text_encoder.word_rows("dog")
        hold_others(text_encoder, trained, "dog")
        vectors = train(text_encoder, denoiser, data, TrainingConfig("dog", steps=2, batch_size=1))
        assert list(vectors) == ["clip_l"]
        whole = text_encoder.with_held(vectors)
        assert encoder_notes(text_encoder) == {"dti.held": "t5xxl", "dti.rows": "token table"}
        context = text_encoder.encode(["a photo of {}"], vectors).context
    assert torch.equal(whole["t5xxl"], rows["t5xxl"])
    assert not torch.equal(whole["clip_l"], rows["clip_l"])

    save_embedding(ConceptEmbedding("my_dog", whole), tmp_path / "my_dog.safetensors")
    assert list(load_embedding(tmp_path / "my_dog.safetensors").vectors) == ["clip_l", "t5xxl"]
    for tokenizer in (models.clip.tokenizer.clip_l, models.clip.tokenizer.t5xxl):
        tokenizer.embedding_directory = [str(tmp_path)]
    said = models.clip.encode_from_tokens(models.clip.tokenize("a photo of embedding:my_dog"))
    torch.testing.assert_close(said, context.detach().to(said))


def test_encoders_that_are_held_for_several_concepts(family, node_mode, tmp_path):
    """T5 has another number of tokens for a word than CLIP, and a stock prompt reads what it read in training."""
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.files.embedding_file import save_embedding
    from dti_pack.dti_core.training import TrainingConfig, start_together
    from dti_pack.dti_core.training.captions import with_rows
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.trained_encoders import held_rows, name_held_rows

    models, words = family("flux"), {"rex": "dog", "mug": "teapot", "bear": "stuffed animal"}
    with training_session(models.model, models.clip) as (text_encoder, _):
        held = held_rows(text_encoder, ["clip_l"], words)
        together = start_together(TrainingConfig("", n_vectors=3), words, text_encoder)
        name_held_rows(text_encoder, held, together.rows)
        counts = {name: (len(together.rows[name]), len(own["t5xxl"])) for name, own in held.items()}
        assert len({ratio for ratio in counts.values()}) > 1 and {count for count, _ in counts.values()} == {3}
        captions = with_rows(["a {bear} and a {mug}, no {rex}", "a {rex}"], "", together.rows)
        contexts = [text_encoder.encode([text], together.result()).context for text in captions]
        whole = {
            name: text_encoder.with_held(own, held[name]) for name, own in together.split(together.result()).items()
        }
    for name, vectors in whole.items():
        save_embedding(ConceptEmbedding(f"my_{name}", vectors), tmp_path / f"my_{name}.safetensors")
    for tokenizer in (models.clip.tokenizer.clip_l, models.clip.tokenizer.t5xxl):
        tokenizer.embedding_directory = [str(tmp_path)]
    prompts = ("a embedding:my_bear and a embedding:my_mug , no embedding:my_rex", "a embedding:my_rex")
    for text, context in zip(prompts, contexts, strict=True):
        said = models.clip.encode_from_tokens(models.clip.tokenize(text))
        torch.testing.assert_close(said, context.detach().to(said))


def test_an_embedding_of_sdxl_in_sd3_and_the_other_way_round(family, models, node_mode):
    """Keys and widths are the same: what the header says is said, and both are read."""
    from dti_pack.dti_core.embedding import ConceptEmbedding
    from dti_pack.dti_core.training import TrainingConfig
    from dti_pack.nodes.host.training.run_metadata import run_metadata
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.host.training.text_encoder import check_fits, unread

    sd3 = family("sd3")
    with training_session(sd3.model, sd3.clip) as (text_encoder, denoiser):
        rows = text_encoder.word_rows("dog")
        of_sd3 = run_metadata("my_dog", TrainingConfig("dog"), text_encoder, denoiser, 512, {})
    of_sdxl = {"modelspec.architecture": "stable-diffusion-xl-v1-base/textual-inversion"}
    for clip, own, other, said in (
        (sd3.clip, of_sd3, of_sdxl, "'my_dog' was trained on SDXL, and this clip is of SD3"),
        (models.clip, of_sdxl, of_sd3, "'my_dog' was trained on SD3, and this clip is of SDXL"),
    ):
        check_fits(clip, ConceptEmbedding("my_dog", rows, other))
        assert said in unread(clip, ConceptEmbedding("my_dog", rows, other))
        assert unread(clip, ConceptEmbedding("my_dog", rows, own)) == ""
        assert unread(clip, ConceptEmbedding("my_dog", rows)) == ""


def test_a_choice_of_encoders_that_are_not_there(family, node_mode):
    from dti_pack.nodes.host.training.trained_encoders import trained_encoders

    with pytest.raises(ValueError, match="encoders is 'CLIP only', but this model's text encoders are gemma2_2b"):
        trained_encoders(family("lumina2").clip, "CLIP only")
    assert trained_encoders(family("chroma").clip, "auto") == ["t5xxl"]
