"""What the demo says of a checkpoint before it starts a host for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.demo import main
from comfy_host.checkpoint_file import check_sdxl

SD15 = ("cond_stage_model.transformer.text_model.final_layer_norm.weight", "first_stage_model.decoder.conv_in.weight")


def test_the_small_world_is_an_sdxl(small_world_file: Path) -> None:
    check_sdxl(small_world_file)


def test_another_family_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "sd15.safetensors"
    save_file({name: torch.zeros(2) for name in SD15}, file)
    with pytest.raises(ValueError, match=r"not an SDXL.*2 tensors.*CLIP-L, nor .*bigG, nor a UNet.*opens as SDXL"):
        check_sdxl(file)


@pytest.mark.parametrize("keep", [4, 200, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, small_world_file: Path, keep: int) -> None:
    file = tmp_path / "half.safetensors"
    file.write_bytes(small_world_file.read_bytes()[:keep])
    with pytest.raises(ValueError, match="cut short"):
        check_sdxl(file)


def test_a_picture_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "picture.safetensors"
    file.write_bytes((8).to_bytes(8, "little") + b"not JSON")
    with pytest.raises(ValueError, match="does not parse"):
        check_sdxl(file)


def test_the_demo_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["demo", "--comfyui", str(tmp_path), "--python", sys.executable]
    monkeypatch.setattr(sys, "argv", [*arguments, "--checkpoint", str(tmp_path / "none.safetensors")])
    assert main() == 1
    assert "There is no checkpoint" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*arguments, "--images", str(tmp_path)])
    assert main() == 1
    assert "add --checkpoint" in capsys.readouterr().err
