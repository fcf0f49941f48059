"""The loss scale rises on underflow, falls on overflow, and stands still otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from dti_core.training import StepReport, TrainingConfig, train
from dti_core.training.backend import Conditioning
from dti_core.training.data import TrainingImage
from dti_core.training.loss_scale import LARGEST, LossScale
from dti_core.vocabulary import Vocabulary

NONE, SOME = torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 0.0], [1e-3, 0.0, -1e-3]])


def scaled(gradients: Sequence[Tensor], start: float = 2.0**15) -> float:
    scale = LossScale(start)
    scale.update(gradients)
    return scale.value


def test_all_zero_is_underflow():
    assert scaled([NONE, NONE]) == 2.0**16


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_not_finite_is_overflow(bad):
    broken = SOME.clone()
    broken[0, 1] = bad
    assert scaled([NONE, broken]) == 2.0**14
    assert scaled([SOME, broken]) == 2.0**14


@pytest.mark.parametrize("gradients", [[SOME, SOME], [NONE, SOME]])
def test_rows_that_stand_still_change_nothing(gradients):
    """A vector that no caption has, or one encoder that is not heard, has no gradient for another reason."""
    assert scaled(gradients) == 2.0**15


def test_no_scale_is_kept():
    for gradients in ([NONE], [torch.full((1, 2), torch.inf)], [SOME]):
        assert scaled(gradients, start=1.0) == 1.0


def test_bounds():
    scale = LossScale(2.0)
    for _ in range(5):
        scale.update([torch.full((1, 2), torch.inf)])
    assert scale.value == 1.0
    scale.update([NONE])
    assert scale.value == 2.0, "a network that has once needed a scale may need it again"
    for _ in range(40):
        scale.update([NONE])
    assert scale.value == LARGEST


class Encoder:
    """One word; its vector is the context."""

    def __init__(self) -> None:
        table = torch.randn((4, 6), generator=torch.Generator().manual_seed(0))
        self.vocabularies = {"clip_l": Vocabulary(table, frozenset(), {i: f"word{i}</w>" for i in range(4)})}

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {"clip_l": [1]}

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        return Conditioning(vectors["clip_l"].unsqueeze(0).expand(len(captions), -1, -1), None)


class HalfPrecision:
    """A network whose gradients pass through fp16, `size` large before any scale."""

    device = torch.device("cpu")

    def __init__(self, size: float, loss_scale: float) -> None:
        self.size, self.loss_scale = size, loss_scale

    def sigmas(self, u: Tensor) -> Tensor:
        return u + 0.1

    def loss(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        sigma: Tensor,
        noise: Tensor,
        framing: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        context = conditioning.context
        context.register_hook(lambda gradient: gradient.half().float())
        return self.size * context.sum(dim=(1, 2))


@pytest.mark.parametrize(("size", "start"), [(1e-9, 2.0), (1e3, 2.0**15)], ids=["underflow", "overflow"])
def test_training_finds_a_scale_that_moves(size, start):
    """fp16 holds 6e-8 to 65504: the first steps stand still, and later ones move by the true gradient."""
    reports: list[StepReport] = []
    latents = torch.zeros(4, 2, 2)
    image = TrainingImage(latents, latents, (16, 16), ("a {}",))
    network = HalfPrecision(size, start)
    train(Encoder(), network, [image], TrainingConfig("word", steps=12, batch_size=2), reports.append)
    moved = [report.moved for report in reports]
    assert not moved[0]
    assert moved[-1]
    assert moved == sorted(moved), "once it fits it stays"
    true = 6**0.5 * reports[-1].vectors["clip_l"].norm().item() * size
    assert 0.5 < reports[-1].data_gradient_norm["clip_l"] / true < 2.0  # fp16's smallest numbers are coarse
