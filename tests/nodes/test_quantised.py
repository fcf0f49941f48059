"""Weights that are not stored as they are used: gradients are those of the values that they stand for."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

PREFIX = "model.diffusion_model."


@pytest.fixture(scope="module")
def network(small_checkpoint):
    """The UNet's weights alone, float32."""
    weights = load_file(small_checkpoint)
    return {name.removeprefix(PREFIX): t.float() for name, t in weights.items() if name.startswith(PREFIX)}


def is_linear(name: str, weight: torch.Tensor) -> bool:
    return weight.ndim == 2 and "transformer_blocks" in name


def load(weights, folder, metadata=None, **options):
    import comfy.sd

    file = folder / "network.safetensors"
    save_file({name: t.contiguous() for name, t in weights.items()}, file, metadata)
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model(str(file), model_options=options)


def loss_and_gradient(model, clip, shift=None):
    from dti_pack.nodes.host.training.session import training_session

    generator = torch.Generator().manual_seed(7)
    latents = torch.randn((2, 4, 16, 16), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    framing = torch.tensor([[128, 128, 0, 0, 128, 128]] * 2)
    with training_session(model, clip) as (text_encoder, denoiser):
        ids = text_encoder.token_ids("dog")
        vectors = {key: v.rows(ids[key]) for key, v in text_encoder.vocabularies.items()}
        vectors["clip_g"] = (vectors["clip_g"] + (0.0 if shift is None else shift)).requires_grad_()
        conditioning = text_encoder.encode(["a photo of a {}", "a {} on a table"], vectors)
        loss = denoiser.loss(latents, conditioning, denoiser.sigmas(torch.tensor([0.9, 0.2])), noise, framing).mean()
        loss.backward()
        return loss.item(), vectors["clip_g"].grad.clone()


def check_gradient(model, clip):
    from dti_pack.nodes.host.training.model_fingerprint import model_fingerprint

    _, gradient = loss_and_gradient(model, clip)
    step = 2e-2 * gradient / gradient.norm()
    slope = (loss_and_gradient(model, clip, step)[0] - loss_and_gradient(model, clip, -step)[0]) / 4e-2
    assert slope == pytest.approx(gradient.norm().item(), rel=0.05)
    # Whatever its weights are stored as, it is known again.
    assert model_fingerprint(model) == model_fingerprint(model.clone())
    return gradient


@pytest.fixture(params=[False, True], ids=["", "fast"])
def fast(request, monkeypatch, comfy_modules):
    """Whether the host believes that the device multiplies in 8 bits."""
    import comfy.model_management

    if request.param:
        monkeypatch.setattr(comfy.model_management, "supports_fp8_compute", lambda device=None: True)
    return request.param


def test_weights_in_fp8(models, node_mode, network, tmp_path, fast):
    model = load(network, tmp_path, dtype=torch.float8_e4m3fn, **({"fp8_optimizations": True} if fast else {}))
    check_gradient(model, models.clip)


@pytest.mark.parametrize("input_scale", [False, True])
def test_scaled_fp8(models, node_mode, network, tmp_path, fast, input_scale):
    weights = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    plain = {}
    for name, weight in network.items():
        layer = name.removesuffix(".weight")
        if is_linear(name, weight):
            scale = weight.abs().max() / 448
            weights[name] = (weight / scale).to(torch.float8_e4m3fn)
            weights[f"{layer}.scale_weight"] = scale
            if input_scale:
                weights[f"{layer}.scale_input"] = torch.tensor(0.02)
            plain[name] = weights[name].float() * scale
        elif weight.ndim == 2:  # the host keeps these in fp8 as well
            weights[name] = plain[name] = weight.to(torch.float8_e4m3fn)
            plain[name] = plain[name].float()
        else:
            weights[name] = plain[name] = weight
    model = load(weights, tmp_path)
    gradient = check_gradient(model, models.clip)
    expected = loss_and_gradient(load(plain, tmp_path), models.clip)[1]
    assert torch.nn.functional.cosine_similarity(gradient, expected).item() > 0.99


@pytest.mark.parametrize("input_scale", [False, True])
def test_mixed_precision_fp8(models, node_mode, network, tmp_path, fast, input_scale):
    weights, layers = {}, {}
    for name, weight in network.items():
        layer = name.removesuffix(".weight")
        weights[name] = weight
        if is_linear(name, weight):
            layers[layer] = {"format": "float8_e4m3fn"}
            scale = weight.abs().max() / 448
            weights[name], weights[f"{layer}.weight_scale"] = (weight / scale).to(torch.float8_e4m3fn), scale
            if input_scale:
                weights[f"{layer}.input_scale"] = torch.tensor(0.02)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    check_gradient(load(weights, tmp_path, metadata), models.clip)


@pytest.mark.parametrize(
    ("quant_format", "group"),
    [("mxfp8", 32), ("nvfp4", 16), ("int8_tensorwise", 1), ("convrot_w4a4", 256), ("asym_w4a8_int8", 256)],
)
def test_newer_formats(models, node_mode, network, tmp_path, quant_format, group):
    import comfy.quant_ops as host

    if quant_format not in host.QUANT_ALGOS:
        pytest.skip(f"this ComfyUI has no {quant_format}")
    layout = host.QUANT_ALGOS[quant_format]["comfy_tensor_layout"]
    weights = dict(network)
    conf = torch.tensor(list(json.dumps({"format": quant_format}).encode()), dtype=torch.uint8)
    for name, weight in network.items():
        # The host reads sizes of the model from attn2's.
        if is_linear(name, weight) and "attn2" not in name and weight.shape[1] % group == 0:
            del weights[name]
            quantised = host.QuantizedTensor.from_float(weight, layout, scale="recalculate")
            layer = name.removesuffix("weight")
            weights |= {**quantised.state_dict(name), f"{layer}comfy_quant": conf.clone()}
    model = load(weights, tmp_path)
    stored = [w for w in model.model.parameters() if isinstance(w, host.QuantizedTensor)]
    assert stored
    check_gradient(model, models.clip)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16], ids=["fp8", "bf16"])
def test_text_encoders_in_low_precision(models, node_mode, small_checkpoint, dtype):
    """As by --fp8_e4m3fn-text-enc: encoders and their token tables."""
    import comfy.sd

    options = {"te_model_options": {"dtype": dtype}, "output_vae": False, "output_model": False}
    clip = comfy.sd.load_checkpoint_guess_config(str(small_checkpoint), **options)[1]
    table = clip.cond_stage_model.clip_g.transformer.get_input_embeddings().weight
    assert table.dtype == dtype
    check_gradient(models.model, clip)


class Packed(torch.Tensor):
    """A weight as packs for other formats have it: bytes, and beside them how to read them."""

    @staticmethod
    def of(weight: torch.Tensor) -> Packed:
        scale = weight.abs().amax(dim=1, keepdim=True) / 127
        packed = (weight / scale).round().to(torch.int8).flatten().as_subclass(Packed)
        packed.scale, packed.true_shape = scale, weight.shape
        return packed

    def detach(self):
        return self

    def to(self, *args, **kwargs):
        moved = super().to(*args, **kwargs).as_subclass(Packed)
        moved.scale, moved.true_shape = self.scale, self.true_shape
        return moved


def pack(model, forward):
    """Let the linear layers of the blocks hold packed weights that `forward(layer, x, weight)` reads."""
    for name, layer in model.model.diffusion_model.named_modules():
        if isinstance(layer, torch.nn.Linear) and "transformer_blocks" in name:
            layer.weight = torch.nn.Parameter(Packed.of(layer.weight.float()), requires_grad=False)
            layer.comfy_cast_weights = False

            def run(x, layer=layer):
                weight = layer.weight.as_subclass(torch.Tensor).reshape(layer.weight.true_shape) * layer.weight.scale
                return forward(layer, x, weight)

            layer.forward = run
    return model


def test_weights_that_a_pack_reads_itself(models, node_mode, network, tmp_path):
    def forward(layer, x, weight):
        return torch.nn.functional.linear(x, weight, layer.bias)

    gradient = check_gradient(pack(load(network, tmp_path), forward), models.clip)
    expected = loss_and_gradient(load(network, tmp_path), models.clip)[1]
    assert torch.nn.functional.cosine_similarity(gradient, expected).item() > 0.99


def test_layers_that_cut_the_gradient_are_refused(models, node_mode, network, tmp_path):
    """The residual connections still carry one, so that training would go on with a wrong one."""

    def forward(layer, x, weight):
        with torch.no_grad():
            return torch.nn.functional.linear(x, weight, layer.bias)

    model = pack(load(network, tmp_path), forward)
    with pytest.raises(ValueError, match=r"diffusion_model\.\S+ \(Linear of comfy\.ops\) .*no gradient"):
        loss_and_gradient(model, models.clip)
