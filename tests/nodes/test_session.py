"""The user's models are handed back as they were."""

from __future__ import annotations

import pytest
import torch


def state(models):
    """Everything of the modules that training touches, by identity."""
    modules = [*models.model.model.modules(), *models.clip.cond_stage_model.modules()]
    return [
        (id(module), [id(t) for t in module._parameters.values()], [id(t) for t in module._buffers.values()],
         len(module._forward_pre_hooks), [t.requires_grad for t in module._parameters.values() if t is not None])
        for module in modules
    ]


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_models_are_left_as_they_were(models, node_mode, failure):
    import comfy.model_management
    from dti_pack.nodes.host.training.session import training_session

    before = state(models)
    tokenizer = models.clip.tokenizer
    try:
        with training_session(models.model, models.clip) as (text_encoder, _):
            text_encoder.encode(["a {}"], {k: torch.ones(1, v.dim) for k, v in text_encoder.vocabularies.items()})
            assert state(models) != before
            if failure is not None:
                raise failure("stop")
    except BaseException as error:
        assert type(error) is failure
    assert state(models) == before
    assert models.clip.tokenizer is tokenizer
    assert torch.is_inference_mode_enabled()
    assert not getattr(comfy.model_management, "in_training", False)


def test_clip_of_another_model_is_refused(models, node_mode, monkeypatch):
    from dti_pack.nodes.host.training.session import training_session

    monkeypatch.setitem(models.model.model.model_config.unet_config, "context_dim", 2048)
    with (
        pytest.raises(ValueError, match=r"gives conditioning 160 wide.*takes 2048"),
        training_session(models.model, models.clip),
    ):
        pass


def test_text_encoder_without_token_table_is_refused(models, node_mode, monkeypatch):
    from dti_pack.nodes.host.training.session import training_session

    transformer = models.clip.cond_stage_model.clip_g.transformer
    monkeypatch.setattr(type(transformer), "get_input_embeddings", lambda self: None)
    with pytest.raises(ValueError, match="no table of token embeddings"), training_session(models.model, models.clip):
        pass


@pytest.mark.parametrize(("word", "message"), [("zxqvy", "not in the text encoder's vocabulary"), ("  ", "is empty")])
def test_initializer_the_vocabulary_lacks(models, node_mode, word, message):
    from dti_pack.dti_core.training.initializer import start_from_word
    from dti_pack.nodes.host.training.session import training_session

    with (
        training_session(models.model, models.clip) as (text_encoder, _),
        pytest.raises(ValueError, match=message),
    ):
        start_from_word(word, text_encoder.token_ids(word), text_encoder.vocabularies)


def test_a_session_loads_nothing_anew(models, node_mode, monkeypatch):
    """Training in bf16 between two generations unloads and patches nothing: 5 GB each way for SDXL."""
    import comfy.model_management
    from comfy.model_patcher import ModelPatcher
    from dti_pack.nodes.host.training.session import training_session

    monkeypatch.setattr(comfy.model_management, "should_use_bf16", lambda *args, **kwargs: True)
    patchers = [models.model, models.clip.patcher]
    comfy.model_management.load_models_gpu(patchers)
    unpatched = []
    original = ModelPatcher.unpatch_model

    def unpatch_model(self, device_to=None, unpatch_weights=True):
        unpatched.append(unpatch_weights)
        return original(self, device_to, unpatch_weights)

    monkeypatch.setattr(ModelPatcher, "unpatch_model", unpatch_model)
    with training_session(models.model, models.clip) as (_, _):
        assert models.model.model.manual_cast_dtype == torch.bfloat16
    comfy.model_management.load_models_gpu(patchers)
    assert not any(unpatched)
    assert models.model.model.manual_cast_dtype is None
