from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dti_core.analysis.norms import norm_level, norm_report
from dti_core.vocabulary import Vocabulary


@pytest.fixture
def vocabulary() -> Vocabulary:
    """200 words of norms 0.30 to 0.50 in 16 dimensions, one unused row and one special one."""
    table = torch.randn(202, 16, generator=torch.Generator().manual_seed(0))
    table = table / table.norm(dim=1, keepdim=True) * torch.linspace(0.3, 0.5, 202)[:, None]
    table[200] = 0
    table[201] *= 50
    return Vocabulary(table, frozenset({201}), [f"w{i}</w>" for i in range(202)])


def of_norm(norm: float) -> Tensor:
    return torch.tensor([[norm, *[0.0] * 15]])


@pytest.mark.parametrize(
    ("times", "level"),
    [(0.0, "zero"), (0.49, "short"), (0.5, "ordinary"), (1.0, "ordinary"), (2.0, "ordinary"), (2.01, "long"),
     (5.0, "long"), (5.01, "very long"), (1e6, "very long")],
)  # fmt: skip
def test_levels(times: float, level: str) -> None:
    assert norm_level(times * 0.25, 0.25) == level


def test_numbers_of_the_vocabulary_and_the_vector(vocabulary: Vocabulary) -> None:
    report = norm_report(vocabulary, of_norm(0.45))
    norms = [row.norm().item() for row in vocabulary.table[:200]]
    assert report.n_words == 200
    assert report.mean == pytest.approx(sum(norms) / 200)
    assert (report.min, report.max) == pytest.approx((min(norms), max(norms)))
    vector = report.vectors[0]
    assert vector.norm == pytest.approx(0.45)
    assert vector.times_mean == pytest.approx(0.45 / report.mean)
    assert vector.percentile == pytest.approx(100 * sum(n <= 0.45 for n in norms) / 200)
    assert vector.initializer_angle is None


def test_angle_to_the_initializer_whose_tokens_repeat(vocabulary: Vocabulary) -> None:
    rows = vocabulary.rows([4, 7])
    across = torch.randn(16, generator=torch.Generator().manual_seed(1))
    across -= across @ rows[0] / (rows[0] @ rows[0]) * rows[0]
    tilted = rows[0] / rows[0].norm() + math.tan(math.radians(30)) * across / across.norm()
    report = norm_report(vocabulary, torch.stack([9 * rows[0], rows[1], tilted]), [4, 7])
    angles = [vector.initializer_angle for vector in report.vectors]
    # Degrees of float32 directions: an eps is 7e-6, and tilted is made in a dozen operations.
    assert angles == pytest.approx([0, 0, 30], abs=1e-3)


def test_direction_finds_the_meaning_and_distance_the_length() -> None:
    """The pattern of the paper's Tables 1 and 5."""
    table = torch.tensor([[0.3, 0.0], [0.5, 0.04], [0.0, 0.05], [0.0, 0.6]])
    vocabulary = Vocabulary(table, words=["apple</w>", "apples</w>", "noise</w>", "pear</w>"])
    vector = norm_report(vocabulary, torch.tensor([[0.1, 0.0]]), k=2).vectors[0]
    assert [n.word for n in vector.by_cosine] == ["apple</w>", "apples</w>"]
    assert [n.word for n in vector.by_distance] == ["noise</w>", "apple</w>"]


def test_a_zero_vector_is_reported(vocabulary: Vocabulary) -> None:
    report = norm_report(vocabulary, torch.cat([of_norm(0.0), of_norm(0.4)]), [4])
    zero, other = report.vectors
    assert (zero.level, other.level) == ("zero", "ordinary")
    assert zero.percentile == 0
    assert zero.initializer_angle is None
    assert zero.by_cosine == ()
    assert len(zero.by_distance) == len(other.by_cosine) == 5


def test_vectors_of_another_width_are_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 8\).*needs \[n, 16\]"):
        norm_report(vocabulary, torch.ones(1, 8))
