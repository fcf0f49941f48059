"""What training on full-size SDXL takes, counted: no later change may bring a copy back.

Counts are exact and the same on every machine; the bounds are what README promises, in GB (10^9 bytes).
"""

from __future__ import annotations

import functools

import pytest
import torch

STREAM_TEXT, STREAM_ALL = "stream text encoders", "stream all"
GB = 1e9


@functools.cache
def counted_and_expected(name: str, microbatch_size: int, edge: int) -> tuple[float, float, float]:
    """Peak, estimate, and the part of the peak that is not weights lying there, of one plan."""
    from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
    from dti_pack.nodes.host.training.memory import footprint_on
    from dti_pack.nodes.host.training.memory_plan import ladder, peak_bytes

    from benchmarks.memory.card import full_size_sdxl
    from benchmarks.memory.step import counted_step

    plan = next(p for p in ladder(4) if (p.name, p.microbatch_size) == (name, microbatch_size))
    with full_size_sdxl() as (model, clip):
        expected = peak_bytes(plan, footprint_on(model, clip, edge, OBJECT_TEMPLATES[:4]))
        peaks = counted_step(model, clip, plan, edge)
    return peaks.peak, expected, peaks.peak - peaks.weights


@pytest.mark.parametrize(
    ("name", "microbatch_size", "edge", "most"),
    [
        (STREAM_TEXT, 1, 768, 6.9),  # 8 GB cards
        (STREAM_TEXT, 1, 1024, 7.1),
        (STREAM_ALL, 1, 1024, 2.5),
        ("keep all", 4, 768, 20.0),  # 24 GB cards
        ("keep all", 1, 768, 10.8),  # 12 GB cards
        ("recompute transformer blocks", 1, 768, 7.6),  # 10 GB cards
    ],
)
def test_a_plan_takes_no_more_than_is_promised(name, microbatch_size, edge, most):
    assert counted_and_expected(name, microbatch_size, edge)[0] / GB <= most


@pytest.mark.parametrize(
    ("name", "microbatch_size", "edge"),
    [
        ("keep all", 4, 768),
        ("keep all", 1, 768),
        ("recompute feed-forward", 1, 768),
        ("recompute transformer blocks", 1, 768),
        ("recompute all blocks", 1, 1024),
        (STREAM_TEXT, 1, 1024),
    ],
)
def test_the_estimate_is_near_the_count(name, microbatch_size, edge):
    """Within 3 %, which is less than the margin that the pack leaves on every card with room for the UNet."""
    counted, expected, _ = counted_and_expected(name, microbatch_size, edge)
    assert expected == pytest.approx(counted, rel=0.03)


def test_a_6_gb_card_holds_a_part_of_the_unet():
    """At 1024 px a step works in less than 1 GB, so that 4.8 GB hold all but 1.3 GB of the UNet's weights."""
    assert counted_and_expected(STREAM_ALL, 1, 1024)[2] / GB <= 1.0


def test_a_step_waits_once_and_mixes_nothing():
    """The CPU waits for the card at one place, where it reads gradients and loss; nothing else comes back.

    Under the smallest plan, in which weights are fetched and layers recomputed as well.
    """
    from dti_pack.nodes.host.training.memory_plan import ladder

    from benchmarks.memory.card import full_size_sdxl
    from benchmarks.memory.step import crossings_of_steps

    with full_size_sdxl() as (model, clip):
        crossings = crossings_of_steps(model, clip, ladder(4)[-1], 256, n_steps=1)
    assert sum(crossings.waits.values()) == 1, crossings.waits
    assert not crossings.mixed, crossings.mixed


def test_crossings_are_seen():
    from benchmarks.memory.crossings import Crossings

    here, there = torch.ones(2), torch.ones(2, device="meta")
    with Crossings(torch.device("meta")) as crossings:
        there.cpu()
        crossings.is_counting = True
        there.cpu()
        float(there.sum())
        here.copy_(there)
        with pytest.raises(RuntimeError, match="not on the expected device"):
            there + here
        there + torch.tensor(1.0)  # a number, which CUDA takes
        there.to("meta", torch.float64)
    assert sum(crossings.waits.values()) == 3
    assert sum(crossings.mixed.values()) == 1


def test_live_tensors_count_storages_once_and_drop_them():
    from benchmarks.memory.live_tensors import LiveTensors

    with LiveTensors(torch.device("meta")) as counter:
        tensor = torch.empty(300, device="meta")  # 1200 bytes in blocks of 512
        view = tensor[:10].view(2, 5)
        assert counter.now == 1536
        del tensor
        assert counter.now == 1536
        del view
        assert counter.now == 0
    assert counter.peak == 1536
