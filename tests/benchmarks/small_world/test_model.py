"""The small model in the host's own classes: resuming, the codec's wide layout, the assembled checkpoint."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from benchmarks.small_checkpoints import SMALL_SDXL
from benchmarks.small_world import checkpoint
from benchmarks.small_world.dataset import scene_at
from benchmarks.small_world.files import load_state, save_state
from benchmarks.small_world.grammar import describe
from benchmarks.small_world.train import Plan, Scenes, Trainer
from comfy_host.environment import comfyui_tree
from tests.rounding import EPS32, EPS64

if TYPE_CHECKING:
    from benchmarks.small_world.tokens import Tokens

PLAN = Plan(steps=4, batch=2, warm_up=1, workers=1)
LATENTS = np.random.default_rng(0).standard_normal((8, 4, 16, 16)).astype(np.float16)


@pytest.fixture(scope="module", autouse=True)
def comfy_modules() -> None:
    """The host on the path, behind everything else, and told that there is no GPU."""
    sys.path += [str(comfyui_tree()), str(SMALL_SDXL.parent)]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the host's own packages say while they load
        import comfy.sd


@pytest.fixture(scope="module")
def tokens(comfy_modules: None) -> Tokens:
    from benchmarks.small_world.tokens import host_tokens

    return host_tokens()


def _trainer(tokens: Tokens) -> Trainer:
    from benchmarks.small_world.model import SmallModel

    torch.manual_seed(0)
    return Trainer(SmallModel(tokens.used), tokens, LATENTS, Scenes(len(LATENTS)), PLAN)


@pytest.fixture(scope="module")
def trained(tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer]:
    """A folder with the states of two steps of training, and the trainer."""
    from benchmarks.small_world.vae import Codec

    folder = tmp_path_factory.mktemp("world")
    trainer = _trainer(tokens)
    for _ in range(2):
        trainer.step()
    save_state(folder / "model_state.pt", trainer.state())
    save_state(folder / "vae_state.pt", {"codec": Codec().state_dict()})
    return folder, trainer


def test_words_one_by_one_are_the_hosts_own_tokens(tokens: Tokens) -> None:
    from comfy.sd1_clip import SDTokenizer

    tokenizer = SDTokenizer()
    rng = np.random.default_rng(3)
    for index in range(200):
        text = describe(scene_at(index), rng).text
        host_ids = [int(token) for token, _ in tokenizer.tokenize_with_weights(text)[0]]
        indices, lengths = tokens.batch([text])
        assert [tokens.used["l"][row] for row in indices["l"][0].tolist()] == host_ids
        assert host_ids[lengths[0] - 1] == 49407


def test_a_resumed_training_goes_on_as_if_never_stopped(trained: tuple[Path, Trainer], tokens: Tokens) -> None:
    folder, trainer = trained
    again = _trainer(tokens)
    again.resume(load_state(folder / "model_state.pt"))
    losses = [one.step() for one in (trainer, again)]
    # Bit for bit: the same operations on the same shapes, one after the other in one process.
    assert losses[0] == losses[1]
    for (name, left), right in zip(trainer.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(left, right), name
    assert all(torch.equal(trainer.average[name], again.average[name]) for name in trainer.average)


def test_rows_move_but_keep_their_norms(trained: tuple[Path, Trainer], tokens: Tokens) -> None:
    encoder, fresh = trained[1].model.clip_l, _trainer(tokens).model.clip_l
    assert not torch.equal(encoder.rows, fresh.rows)
    torch.testing.assert_close(encoder.rows.norm(dim=1), fresh.rows.norm(dim=1))


def test_the_thin_codec_is_the_same_in_the_hosts_layout() -> None:
    from comfy.taesd.taesd import TAESD

    from benchmarks.small_world.vae import SCALE, Codec, host_tensors

    torch.manual_seed(1)
    # In float64, where rounding is far from every mistake: 40 convolutions over up to 576 products each.
    codec, host = Codec().double(), TAESD().double()
    host.load_state_dict(host_tensors(codec.state_dict()))
    scale = torch.tensor(SCALE).double()  # as the file has it, rounded to float32
    pixels = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        latents = codec.encode(pixels)
        decoded = codec.decode(latents)
        pairs = [(host.encode(pixels * 2 - 1) * scale, latents), (host.decode(latents / scale) / 2 + 0.5, decoded)]
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, atol=40 * 576 * EPS64 * wanted.abs().max().item(), rtol=0)


def test_the_assembled_checkpoint_is_an_sdxl_to_the_stock_loader(
    trained: tuple[Path, Trainer], tokens: Tokens, tmp_path: Path
) -> None:
    import comfy.model_base
    import comfy.sd
    import small_sdxl  # noqa: F401  (registers the architecture)

    folder, _ = trained
    small = tmp_path / "compact.safetensors"
    checkpoint.compact(folder, small)
    assert small.stat().st_size < 20e6
    whole = checkpoint.assemble(tmp_path / "whole.safetensors", small)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(whole))
    assert isinstance(model.model, comfy.model_base.SDXL)
    assert model.model.model_type == comfy.model_base.ModelType.V_PREDICTION
    assert float(model.model.model_sampling.sigma_max) > 4000  # zero terminal SNR
    average: dict[str, Any] = load_state(folder / "model_state.pt")["average"]
    for key, mean in (("l", 0.39), ("g", 0.45)):
        encoder = getattr(clip.cond_stage_model, f"clip_{key}")
        table = encoder.transformer.get_input_embeddings().weight.float()
        # Both files are in float16, and rounding to it is the same everywhere.
        assert torch.equal(table[tokens.used[key]], average[f"clip_{key}.rows"].half().float())
        # What random_rows draws, over some hundred words and 49,000 others: within 2e-4 of it.
        assert abs(float(table.norm(dim=1).mean()) - mean) < 0.01
    assert vae.latent_channels == 4


def test_training_hears_captions_as_the_host_does(
    trained: tuple[Path, Trainer], tokens: Tokens, tmp_path: Path
) -> None:
    import comfy.sd
    import small_sdxl  # noqa: F401  (registers the architecture)

    folder, trainer = trained
    checkpoint.compact(folder, tmp_path / "compact.safetensors")
    whole = checkpoint.assemble(tmp_path / "whole.safetensors", tmp_path / "compact.safetensors")
    _, clip, _, _ = comfy.sd.load_checkpoint_guess_config(str(whole))
    model = _trainer(tokens).model
    average = {name: value.half().float() for name, value in trainer.average.items()}  # as the file has them
    model.load_state_dict({**trainer.model.state_dict(), **average})
    text = "a photo of a striped red star on the beach"
    with torch.no_grad():
        wanted, pooled = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)
        for positions in (40, 77):
            context, y = model.conditioning(*tokens.batch([text], positions))
            # Numbers of order 1 through all layers of a text encoder: some ten eps of each.
            torch.testing.assert_close(context, wanted[:, :positions], atol=1000 * EPS32, rtol=0)
            torch.testing.assert_close(y[:, : pooled.shape[1]], pooled, atol=1000 * EPS32, rtol=0)


def test_training_goes_on_from_the_compact_file(trained: tuple[Path, Trainer], tokens: Tokens, tmp_path: Path) -> None:
    small, run = tmp_path / "compact.safetensors", tmp_path / "run"
    checkpoint.compact(trained[0], small)
    checkpoint.restore(run, small)
    trainer = _trainer(tokens)
    trainer.resume(load_state(run / "model_state.pt"))
    assert trainer.number == 2
    average = load_state(trained[0] / "model_state.pt")["average"]
    # The file is in float16, and rounding to it is the same everywhere.
    assert torch.equal(trainer.average["unet.out.2.bias"], average["unet.out.2.bias"].half().float())
    assert np.isfinite(trainer.step())
    with pytest.raises(ValueError, match="there already"):
        checkpoint.restore(run, small)


def test_a_half_written_compact_file_is_not_assembled(trained: tuple[Path, Trainer], tmp_path: Path) -> None:
    small, whole = tmp_path / "compact.safetensors", tmp_path / "whole.safetensors"
    checkpoint.compact(trained[0], small)
    small.write_bytes(small.read_bytes()[: small.stat().st_size // 2])
    with pytest.raises(ValueError, match="cut short"):
        checkpoint.assemble(whole, small)
    assert not whole.exists()
