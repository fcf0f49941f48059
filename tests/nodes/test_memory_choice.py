"""Which memory plan is chosen before anything is loaded, and what is said of it."""

from __future__ import annotations

import pytest
import torch

GIB = 2**30
SDXL_768 = {
    "unet_weights": 5.14e9,
    "text_weights": 1.64e9,
    "token_tables": 0.2e9,
    "transformer": 58_982_400,
    "residual": 27_279_360,
    "largest_transformer": 1_474_560,
    "largest_residual": 2_949_120,
    "element_size": 2,
}
SDXL_TEXT = {"kept": 168_612_000, "inputs": 17_016_000, "largest": 4_297_000, "weight": 6_553_600}


@pytest.mark.parametrize(
    ("free_gib", "name", "microbatch_size"),
    [
        (22.6, "keep all", 4),  # 24 GB
        (14.6, "keep all", 2),  # 16 GB
        (10.6, "keep all", 1),  # 12 GB
        (8.6, "recompute transformer blocks", 1),  # 10 GB
        (6.6, "stream text encoders", 1),  # 8 GB
        (4.6, "stream all", 1),  # 6 GB
    ],
)
def test_the_fastest_plan_that_fits(comfy_modules, free_gib, name, microbatch_size):
    from dti_pack.nodes.host.training.footprint import Footprint, Layers
    from dti_pack.nodes.host.training.memory_plan import first_that_fits, ladder

    footprint = Footprint(**SDXL_768, text=Layers(**SDXL_TEXT))
    plan = ladder(4)[first_that_fits(ladder(4), footprint, free_gib * GIB)]
    assert (plan.name, plan.microbatch_size) == (name, microbatch_size)


def planned(models, monkeypatch, free_bytes, **changes):
    from dti_pack.nodes.host.training import memory

    monkeypatch.setattr(memory, "free_memory", lambda device: free_bytes)
    wanted = {"edge": 128, "batch_size": 4, "microbatch_size": 0, **changes}
    return memory.plan_memory(models.model, models.clip, captions=["a {}", "b {}", "c {}", "d {}"], **wanted)


def test_nothing_fits_is_said_before_anything_is_loaded(models, monkeypatch):
    with pytest.raises(ValueError, match=r"at 128 px needs about 0\.\d GB .* 0\.1 GB can be had.*lower resolution"):
        planned(models, monkeypatch, 0.1e9)


def test_a_plan_that_is_asked_for_is_taken_and_can_still_step_down(models, monkeypatch):
    memory = planned(models, monkeypatch, 1e12, wanted="recompute all blocks", microbatch_size=1)
    assert memory.plan.name == "recompute all blocks"
    memory.step_down(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert memory.plan.name == "stream text encoders"
    # Also where the estimate says that it does not fit.
    assert planned(models, monkeypatch, 0.6e9, wanted="keep all").plan.name == "keep all"


def test_the_microbatch_that_is_asked_for_is_the_most(models, monkeypatch):
    assert planned(models, monkeypatch, 1e12).plan.microbatch_size == 4
    assert planned(models, monkeypatch, 1e12, microbatch_size=3).plan.microbatch_size == 3
    assert planned(models, monkeypatch, 1e12, microbatch_size=9).plan.microbatch_size == 4


def test_the_plan_is_one_line(models, monkeypatch):
    line = str(planned(models, monkeypatch, 8e9))
    assert line.startswith("memory plan: keep all, 4 at a time; about 0.") and line.endswith(" GB of 8.0 GB")


def test_novram_keeps_no_weights_on_the_device(models, monkeypatch):
    import comfy.model_management as management

    monkeypatch.setattr(management, "vram_state", management.VRAMState.NO_VRAM)
    memory = planned(models, monkeypatch, 24e9)
    assert memory.plan.name == "stream all" and memory.unet_bytes < 1
    assert planned(models, monkeypatch, 24e9, wanted="keep all").plan.name == "keep all"
