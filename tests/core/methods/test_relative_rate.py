"""A rate of AdamW means the same in encoders of every width."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dti_core.methods import METHODS
from dti_core.methods.relative_rate import REFERENCE_RATE, adamw_group, coordinate_of
from dti_core.sphere import projx
from dti_core.training import TrainingConfig, start_method
from dti_core.vocabulary import Vocabulary
from tests.rounding import EPS32

ADAMW = ("Textual Inversion", "CrossInit", "projected AdamW")


def words(norm: float, width: int) -> Vocabulary:
    return Vocabulary(norm * projx(torch.randn(50, width, generator=torch.Generator().manual_seed(width))))


class Encoders:
    """Vocabularies by key, and a word that is the token 3 in each."""

    def __init__(self, **vocabularies: Vocabulary) -> None:
        self.vocabularies = vocabularies

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {key: [3] for key in self.vocabularies}


def movement(kind: str, encoders: Encoders, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """How far the row is from its start after each step, in coordinates of a word; by key, both `[steps, dim]`."""
    coordinates = {key: coordinate_of(table) for key, table in encoders.vocabularies.items()}
    states = {key: torch.full((1, rows.shape[1]), 20 * coordinates[key]) for key, rows in gradients.items()}
    method = start_method(TrainingConfig("word", method=kind), encoders, states)
    start, seen = method.result(), []
    for step in range(len(next(iter(gradients.values())))):
        method.zero_grad()
        for key, rows in method.vectors().items():
            rows.grad = gradients[key][step : step + 1].clone()
        method.step(1.0)
        seen.append(method.result())
    return {key: torch.cat([rows[key] - start[key] for rows in seen]) / coordinates[key] for key in gradients}


def test_the_references_rate_on_the_encoders_of_sdxl() -> None:
    group = {}
    for key, vocabulary in (("clip_l", words(0.387, 768)), ("clip_g", words(0.4515, 1280))):
        group[key] = adamw_group(torch.nn.Parameter(torch.ones(1)), REFERENCE_RATE, coordinate_of(vocabulary))
        # The share of a row that decay takes in a step.
        assert group[key]["lr"] * group[key]["weight_decay"] == pytest.approx(2e-4, rel=1e-3)
    # The rate is stated to four digits.
    assert (group["clip_l"]["lr"], group["clip_l"]["weight_decay"]) == pytest.approx((0.02, 1e-2), rel=1e-3)
    assert group["clip_g"]["lr"] == pytest.approx(0.0181, rel=2e-3)
    assert {METHODS[name].learning_rate for name in ADAMW} == {REFERENCE_RATE}


def test_a_step_is_the_same_share_of_the_norm_at_every_width() -> None:
    tables = {"narrow": words(0.42, 64), "wide": words(0.45, 1280)}
    generator = torch.Generator().manual_seed(0)
    gradients = {key: torch.randn(1, table.dim, generator=generator) for key, table in tables.items()}
    for key, rows in movement("Textual Inversion", Encoders(**tables), gradients).items():
        # In coordinates a word's norm is the root of the width. AdamW's first step is the sign of the gradient, and
        # decay takes 2e-4 of the row beside it.
        share = rows.norm().item() / math.sqrt(tables[key].dim)
        assert share == pytest.approx(REFERENCE_RATE, abs=3e-4)


@pytest.mark.parametrize("kind", ADAMW)
def test_a_wider_copy_of_an_encoder_goes_the_same_way(kind: str) -> None:
    """All coordinates twice, at the same norm: what is trained there is the same row twice, after every step."""
    narrow = words(0.42, 64)
    wide = Vocabulary(narrow.table.repeat(1, 2) / math.sqrt(2))
    gradient = torch.randn(100, 64, generator=torch.Generator().manual_seed(1))
    encoders = Encoders(narrow=narrow, wide=wide)
    moved = movement(kind, encoders, {"narrow": gradient, "wide": gradient.repeat(1, 2)})
    assert moved["narrow"].abs().max() > 1
    # Rows of up to 40 coordinates, rounded at each of 100 steps. With a decay of 1e-2 at both widths it would be 0.5.
    torch.testing.assert_close(moved["wide"], moved["narrow"].repeat(1, 2), atol=100 * 40 * EPS32, rtol=0)
