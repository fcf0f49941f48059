"""Memory plans: the same gradients from less memory, lowered when it runs out."""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from skimage import data

from tests.rounding import EPS32

# A recomputed layer or a cast made again runs the same operations on the same values. Only the number of images per
# pass changes the kernels, and with them the order in which sums are rounded: measured is one eps at most.
ROUNDING = 20 * EPS32


@pytest.fixture(scope="module")
def images(models):
    from dti_pack.nodes.host.training.vae import encode_images

    captions = ("a photo of a {}", "the (small:1.3) {} on a table", "a {}, " + "very " * 80 + "long", "one {}")
    pictures = [torch.tensor(getattr(data, name)() / 255.0).float() for name in ("chelsea", "coffee")]
    with torch.inference_mode():
        return encode_images(models.vae, pictures, 128, [captions] * 2)


def plans():
    from dti_pack.nodes.host.training.memory_plan import ladder

    return ladder(4)


def trained(model, clip, images, memory, retry=None, steps=2):
    from dti_pack.dti_core.training import TrainingConfig, train
    from dti_pack.nodes.host.training.session import training_session

    config = TrainingConfig("cat", steps=steps, microbatch_size=memory.plan.microbatch_size, seed=3)
    with torch.inference_mode(), training_session(model, clip, memory) as (text_encoder, denoiser):
        return train(text_encoder, denoiser, images, config, spare_memory=retry or memory.step_down)


def assert_same(got, expected):
    for key in expected:
        torch.testing.assert_close(got[key], expected[key], rtol=0, atol=ROUNDING * float(expected[key].norm()))


def with_lora(model, clip):
    """Clones that carry a LoRA on attention and feed-forward weights, as the host's Load LoRA makes them."""
    generator = torch.Generator().manual_seed(11)
    model, clip = model.clone(), clip.clone()
    for patcher in (model, clip.patcher):
        weights = {name: w for name, w in patcher.model.named_parameters() if w.ndim == 2 and "embed" not in name}
        patches = {}
        for name in sorted(weights)[::3]:
            rows, columns = weights[name].shape
            patches[name] = ("diff", (0.02 * torch.randn(rows, columns, generator=generator),))
        assert patcher.add_patches(patches) and len(patches) > 10
    return model, clip


@contextmanager
def unchanged(models):
    modules = (models.model.model, models.clip.cond_stage_model)
    # Another test may have left a LoRA's weights in place, as the host does until it needs the plain ones.
    models.model.detach()
    models.clip.patcher.detach()
    before = [{name: t.clone() for name, t in module.state_dict().items()} for module in modules]
    yield
    models.model.detach()
    models.clip.patcher.detach()
    for module, tensors in zip(modules, before, strict=True):
        now = module.state_dict()
        # What the file does not have, CLIP-L's projection, is memory as it was found, NaN sometimes.
        assert [name for name in now if not torch.allclose(now[name], tensors[name], 0, 0, equal_nan=True)] == []
        assert not any("forward" in vars(child) or "encode" in vars(child) for child in module.modules())


@pytest.fixture
def snapshot(models):
    with unchanged(models):
        yield


@pytest.fixture(params=["plain", "lora"])
def pair(request, models, load_models, small_checkpoint, snapshot):
    if request.param == "plain":
        yield models.model, models.clip
        return
    own = load_models(small_checkpoint)
    # The host rounds a LoRA into half-precision weights that it keeps, and adds it unrounded to those it streams.
    own.clip.cond_stage_model.float()
    with unchanged(own):
        yield with_lora(own.model, own.clip)


def test_every_plan_trains_the_same_vectors(pair, images):
    from dti_pack.nodes.host.training.memory import TrainingMemory

    expected = trained(*pair, images, TrainingMemory([replace(plans()[0], microbatch_size=4)]))
    assert all(float(v.norm()) > 0.1 for v in expected.values())
    for plan in plans()[1:]:
        assert_same(trained(*pair, images, TrainingMemory([plan])), expected)


def test_a_lora_on_half_precision_weights_is_the_same_but_for_the_hosts_rounding(models, images, snapshot):
    """Which way a LoRA is applied changes each of its weights by half an eps of float16 at most; as for sampling."""
    from dti_pack.nodes.host.training.memory import TrainingMemory

    pair = with_lora(models.model, models.clip)
    assert torch.float16 in {parameter.dtype for parameter in models.clip.cond_stage_model.parameters()}
    kept, streamed = (trained(*pair, images, TrainingMemory([plan])) for plan in (plans()[0], plans()[-1]))
    for key, vectors in kept.items():
        difference = float((streamed[key] - vectors).norm() / vectors.norm())
        # A hundred layers with such errors of either sign add up to ten of them; each step turns by 0.04 of the norm.
        assert difference < 0.04 * 10 * torch.finfo(torch.float16).eps


def test_shapes_that_differ_train_the_same_in_any_number_of_passes(models, snapshot):
    """A square, a wide and a tall image: the mean over a batch does not depend on which go through together."""
    from dti_pack.nodes.host.training.memory import TrainingMemory
    from dti_pack.nodes.host.training.vae import encode_images

    photo = torch.tensor(data.chelsea() / 255.0).float()
    pictures = [photo[:, :300], photo[:160], photo[:, :150]]
    with torch.inference_mode():
        images = encode_images(models.vae, pictures, 192, [("a photo of a {}",)] * 3, crop="keep aspect")
    assert {image.crop_size for image in images} == {(24, 24), (16, 32), (32, 16)}
    whole, split = (
        trained(models.model, models.clip, images, TrainingMemory([replace(plans()[0], microbatch_size=size)]))
        for size in (4, 1)
    )
    assert_same(split, whole)


@pytest.mark.parametrize("name", ["keep all", "recompute all blocks", "stream all"])
def test_casts_made_again_are_the_casts(models, images, monkeypatch, name):
    """In bf16 every weight is cast in every layer; kept or made again, its values are the same bits."""
    import comfy.model_management
    from dti_pack.nodes.host.training import session
    from dti_pack.nodes.host.training.memory import TrainingMemory

    monkeypatch.setattr(comfy.model_management, "should_use_bf16", lambda *args, **kwargs: True)
    plan = next(p for p in plans() if (p.name, p.microbatch_size) == (name, 1))
    made_again = trained(models.model, models.clip, images, TrainingMemory([plan]), steps=1)
    monkeypatch.setattr(session, "casts_made_again", nullcontext)
    kept = trained(models.model, models.clip, images, TrainingMemory([plan]), steps=1)
    for key in kept:
        torch.testing.assert_close(made_again[key], kept[key], rtol=0, atol=0)


def test_no_cast_is_kept_for_backward(models, images, monkeypatch):
    """Under bf16 a forward pass leaves less behind than one more set of the UNet's weights."""
    import comfy.model_management
    from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
    from dti_pack.nodes.host.training.session import training_session

    from benchmarks.memory.live_tensors import LiveTensors

    monkeypatch.setattr(comfy.model_management, "should_use_bf16", lambda *args, **kwargs: True)
    counter = LiveTensors(torch.device("cpu"))
    with torch.inference_mode(), training_session(models.model, models.clip) as (text_encoder, denoiser):
        vectors = {key: torch.full((1, v.dim), 0.05).requires_grad_() for key, v in text_encoder.vocabularies.items()}
        conditioning = text_encoder.encode(OBJECT_TEMPLATES[:1], vectors)
        latents, framing = torch.randn((1, 4, 8, 8)), torch.tensor([[64, 64, 0, 0, 64, 64]])
        with counter:
            loss = denoiser.loss(latents, conditioning, torch.ones(1), latents, framing)
        assert counter.now < sum(2 * w.numel() for w in models.model.model.diffusion_model.parameters())
        loss.sum().backward()
        assert all(float(v.grad.norm()) > 0 for v in vectors.values())


def test_a_pass_without_a_backward_pass_is_freed(models, monkeypatch):
    """As after an error or Stop in the middle of a step: nothing of its graph may stay on the device."""
    import comfy.model_management
    from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
    from dti_pack.nodes.host.training.session import training_session

    from benchmarks.memory.live_tensors import LiveTensors

    monkeypatch.setattr(comfy.model_management, "should_use_bf16", lambda *args, **kwargs: True)
    counter = LiveTensors(torch.device("cpu"))
    latents, framing = torch.randn((1, 4, 8, 8)), torch.tensor([[64, 64, 0, 0, 64, 64]])

    def run_forward(text_encoder, denoiser):
        vectors = {key: torch.full((1, v.dim), 0.05).requires_grad_() for key, v in text_encoder.vocabularies.items()}
        conditioning = text_encoder.encode(OBJECT_TEMPLATES[:1], vectors)
        return denoiser.loss(latents, conditioning, torch.ones(1), latents, framing)

    with torch.inference_mode(), training_session(models.model, models.clip) as (text_encoder, denoiser):
        run_forward(text_encoder, denoiser)  # what is read once and kept
        with counter:
            loss = run_forward(text_encoder, denoiser)
            held = counter.now
            del loss
        gc.collect()
        assert held > 1e6
        assert counter.now < 1e4


class OutOfMemory:
    """Makes the denoiser fail, as an allocator does, while `fails(plan name)`."""

    def __init__(self, monkeypatch, memory, fails, where):
        from dti_pack.nodes.host.training.denoiser import HostDenoiser
        from dti_pack.nodes.host.training.text_encoder import HostTextEncoder

        self.failed: list[str] = []
        owner, name = {"network": (HostDenoiser, "loss"), "text": (HostTextEncoder, "encode")}[where]
        original = getattr(owner, name)
        calls = iter(range(10**6))

        def allocate(instance, *args):
            result = original(instance, *args)
            if next(calls) > 1 and fails(memory.plan.name):
                self.failed.append(memory.plan.name)
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return result

        monkeypatch.setattr(owner, name, allocate)


@pytest.mark.parametrize("where", ["network", "text"])
def test_out_of_memory_steps_down_and_trains_the_same(models, images, monkeypatch, where, caplog):
    from dti_pack.nodes.host.training.memory import TrainingMemory

    expected = trained(models.model, models.clip, images, TrainingMemory(plans()), steps=3)
    memory = TrainingMemory(plans())
    fails = OutOfMemory(monkeypatch, memory, lambda name: name in ("keep all", "recompute all blocks"), where)
    got = trained(models.model, models.clip, images, memory, steps=3)
    assert fails.failed and memory.plan.name == "recompute feed-forward"
    assert_same(got, expected)
    assert "out of memory" in caplog.text and "recompute feed-forward" in caplog.text


def test_down_to_streaming_in_the_middle_of_a_run(models, images, monkeypatch, snapshot):
    from dti_pack.nodes.host.training.memory import TrainingMemory

    expected = trained(models.model, models.clip, images, TrainingMemory(plans()), steps=3)
    memory = TrainingMemory(plans())
    OutOfMemory(monkeypatch, memory, lambda name: name != "stream all", "network")
    assert_same(trained(models.model, models.clip, images, memory, steps=3), expected)
    assert memory.plan.name == "stream all"


def test_the_smallest_plan_out_of_memory_ends_the_run(models, images, monkeypatch, snapshot):
    from dti_pack.nodes.host.training.memory import TrainingMemory

    memory = TrainingMemory(plans())
    OutOfMemory(monkeypatch, memory, lambda name: True, "network")
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"2\.00 GiB"):
        trained(models.model, models.clip, images, memory, steps=3)


def test_other_errors_do_not_step_down(models, images, monkeypatch):
    from dti_pack.nodes.host.training.memory import TrainingMemory

    memory = TrainingMemory(plans())
    with pytest.raises(RuntimeError, match="something else"):
        memory.step_down(RuntimeError("something else"))
    assert memory.plan == plans()[0]


def test_what_the_host_left_out_is_brought_back(models, node_mode):
    """Models that an earlier plan, or the host itself, has loaded in part are whole under a plan that keeps all."""
    from dti_pack.nodes.host.training.memory import TrainingMemory
    from dti_pack.nodes.host.training.session import training_session

    patchers = (models.model, models.clip.patcher)
    with training_session(models.model, models.clip, TrainingMemory([plans()[-1]])):
        assert all(patcher.loaded_size() < 0.01 * patcher.model_size() for patcher in patchers)
    with training_session(models.model, models.clip, TrainingMemory([plans()[0]])):
        assert all(patcher.loaded_size() > 0.99 * patcher.model_size() for patcher in patchers)
