"""A model is known again, in another process too, and told from what is not the same."""

from __future__ import annotations

import importlib

import pytest
import torch


@pytest.fixture
def fingerprint(models):
    return importlib.import_module("dti_pack.nodes.host.training.model_fingerprint").model_fingerprint


def lora(model, strength: float, seed: int = 0):
    """A clone with a LoRA on one weight, as the host's own loader puts it there."""
    import comfy.weight_adapter

    clone = model.clone()
    name = next(key for key in model.model.state_dict() if key.endswith("attn2.to_k.weight"))
    rows, columns = model.model.state_dict()[name].shape
    generator = torch.Generator().manual_seed(seed)
    up, down = torch.randn((rows, 2), generator=generator), torch.randn((2, columns), generator=generator)
    adapter = comfy.weight_adapter.LoRAAdapter(set(), (up, down, 2.0, None, None, None))
    clone.add_patches({name: adapter}, strength)
    return clone


def test_loaded_again_it_is_the_same(load_models, small_checkpoint, models, fingerprint):
    again = load_models(small_checkpoint)
    for first, second in ((models.model, again.model), (models.clip.patcher, again.clip.patcher)):
        assert fingerprint(first) == fingerprint(second)
    assert fingerprint(models.model) != fingerprint(models.clip.patcher)


def test_ordinary_weights_are_known_by_their_values(models, fingerprint):
    from dti_pack.nodes.host.training.model_fingerprint import _sample

    for patcher in (models.model, models.clip.patcher, models.vae.patcher):
        assert all(isinstance(_sample(weight), list) for weight in patcher.model.state_dict().values())


def test_one_changed_weight_shows(load_models, small_checkpoint, models, fingerprint):
    changed = load_models(small_checkpoint).model
    with torch.inference_mode():
        next(changed.model.parameters()).mul_(1.01)
    assert fingerprint(changed) != fingerprint(models.model)


def test_loras_show_by_values_and_strength_and_not_by_whether_they_are_loaded(models, fingerprint):
    import comfy.model_management

    plain = fingerprint(models.model)
    patched = [lora(models.model, 0.5), lora(models.model, 0.6), lora(models.model, 0.5, seed=1)]
    found = [fingerprint(model) for model in patched]
    assert len({plain, *found}) == 4
    assert fingerprint(lora(models.model, 0.5)) == found[0]
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([patched[0]])
        assert fingerprint(patched[0]) == found[0]
        comfy.model_management.load_models_gpu([models.model])
    assert fingerprint(models.model) == plain


def test_another_sampling_shows(models, fingerprint):
    import comfy.model_sampling

    class Flow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        """As ModelSamplingSD3 makes it."""

    found = set()
    for shift in (1.0, 3.0):
        sampling = Flow(models.model.model.model_config)
        sampling.set_parameters(shift=shift)
        clone = models.model.clone()
        clone.add_object_patch("model_sampling", sampling)
        found.add(fingerprint(clone))
    assert len(found | {fingerprint(models.model)}) == 3
