from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dti_core.vocabulary import Vocabulary
from tests.rounding import EPS32

UNUSED, SPECIAL = frozenset({3, 11}), frozenset({0, 19})
WORDS = [f"word{i}" for i in range(20)]


@pytest.fixture
def table() -> Tensor:
    """Twenty rows, two of them unused (one zero, one nearly), two of them special and very long."""
    table = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    table[3] = 0
    table[11] *= 1e-5
    table[[0, 19]] *= 100
    return table


@pytest.fixture
def vocabulary(table: Tensor) -> Vocabulary:
    return Vocabulary(table, SPECIAL, WORDS)


def real(table: Tensor) -> list[int]:
    return [i for i in range(len(table)) if i not in UNUSED | SPECIAL]


def test_statistics_are_over_real_words(vocabulary: Vocabulary, table: Tensor) -> None:
    norms = [math.sqrt(sum(x * x for x in row)) for row in table[real(table)].tolist()]
    mean = sum(norms) / len(norms)
    # Norms are float32, of 8 squares; the deviation is of differences of norms, five times smaller than the largest.
    assert vocabulary.mean == pytest.approx(mean, rel=8 * EPS32)
    assert vocabulary.std == pytest.approx(
        math.sqrt(sum((n - mean) ** 2 for n in norms) / len(norms)), rel=5 * 8 * EPS32
    )
    assert vocabulary.min == pytest.approx(min(norms), rel=8 * EPS32)
    assert vocabulary.max == pytest.approx(max(norms), rel=8 * EPS32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_of_half_precision_tables_are_taken_in_float32(dtype: torch.dtype) -> None:
    # 3000^2 overflows float16, and 1280 squares added up in bfloat16 stop growing.
    table = torch.full((2, 1280), 3000.0).to(dtype)
    exact = table[0, 0].item() * math.sqrt(1280)
    # In whatever order float32 adds 1280 squares.
    assert Vocabulary(table).mean == pytest.approx(exact, rel=1280 * EPS32)


def test_norms_do_not_depend_on_the_chunks() -> None:
    table = torch.randn(9001, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Vocabulary(table).norms, table.norm(dim=-1))


def test_magnitudes(vocabulary: Vocabulary, table: Tensor) -> None:
    assert vocabulary.magnitude("mean") == vocabulary.mean
    assert vocabulary.magnitude("min") == vocabulary.min
    assert vocabulary.magnitude("max") == vocabulary.max
    assert vocabulary.magnitude(5) == 5.0
    norms = vocabulary.magnitude("initializer", [4, 2, 4])
    assert isinstance(norms, Tensor)
    torch.testing.assert_close(norms, table[[4, 2, 4]].norm(dim=-1))


@pytest.mark.parametrize("spec", ["median", "0.4", "", 0, -1.0, math.inf, math.nan])
def test_other_magnitudes_are_refused(vocabulary: Vocabulary, spec: str | float) -> None:
    with pytest.raises(ValueError, match=r"'initializer' or a positive finite number"):
        vocabulary.magnitude(spec)


def test_magnitude_of_an_initializer_needs_its_tokens(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="pass token_ids"):
        vocabulary.magnitude("initializer")
    with pytest.raises(ValueError, match="at least one is unused"):
        vocabulary.magnitude("initializer", [4, 3])


def test_a_table_without_words_has_no_magnitude() -> None:
    with pytest.raises(ValueError, match="probably not loaded"):
        _ = Vocabulary(torch.zeros(10, 4)).mean


@pytest.mark.parametrize("table", [torch.zeros(10), torch.zeros(10, 4, dtype=torch.int64)])
def test_other_tables_are_refused(table: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\[n_tokens, dim\]"):
        Vocabulary(table)


def test_rows_are_float32_copies() -> None:
    table = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    vocabulary = Vocabulary(table)
    rows = vocabulary.rows([5, 1])
    torch.testing.assert_close(rows, table[[5, 1]])
    rows.zero_()
    assert table[[5, 1]].abs().min() > 0
    assert Vocabulary(table.half()).rows([2]).dtype == torch.float32


def test_rows_of_an_inference_tensor_can_be_trained() -> None:
    with torch.inference_mode():
        vocabulary = Vocabulary(torch.ones(6, 4))
    rows = vocabulary.rows([1]).requires_grad_()
    rows.square().sum().backward()
    assert rows.grad is not None
    assert vocabulary.mean == 2.0


@pytest.mark.parametrize(("ids", "message"), [([], "no token ids"), ([1, 20], r"\[20\]"), ([-1], r"\[-1\]")])
def test_rows_refuses_ids_outside_of_the_table(vocabulary: Vocabulary, ids: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vocabulary.rows(ids)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest_against_a_full_sort(metric: str) -> None:
    generator = torch.Generator().manual_seed(0)
    # Two chunks and three rows.
    table = torch.randn(8195, 6, generator=generator, dtype=torch.float64)
    special = frozenset(range(0, 8195, 7))
    vectors = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    if metric == "cosine":
        value = vectors @ table.T / vectors.norm(dim=-1, keepdim=True) / table.norm(dim=-1)
    else:
        value = (vectors[:, None] - table[None]).norm(dim=-1)
    words = [i for i in range(len(table)) if i not in special]

    for row, found in enumerate(Vocabulary(table.float(), special).nearest(vectors.float(), 5, metric)):
        best = sorted(words, key=lambda i: value[row, i].item(), reverse=metric == "cosine")[:5]
        # The order is safe: the values of neighbours lie 5e-4 apart, and float32 gives them to a few eps.
        assert [neighbour.token_id for neighbour in found] == best
        assert [neighbour.value for neighbour in found] == pytest.approx(value[row, best].tolist(), abs=16 * EPS32)


@pytest.mark.parametrize(("metric", "own"), [("cosine", 1.0), ("euclidean", 0.0)])
def test_a_word_is_nearest_to_itself(vocabulary: Vocabulary, metric: str, own: float) -> None:
    for token_id, (first, *_) in zip(
        (4, 17), vocabulary.nearest(vocabulary.rows([4, 17]), 2, metric), strict=True
    ):
        assert (first.token_id, first.word) == (token_id, f"word{token_id}")
        assert first.value == pytest.approx(own, abs=16 * EPS32)


def test_nearest_finds_all_real_words_and_no_other(vocabulary: Vocabulary, table: Tensor) -> None:
    (found,) = vocabulary.nearest(table[19:20], len(real(table)))
    assert sorted(neighbour.token_id for neighbour in found) == real(table)
    with pytest.raises(ValueError, match="k is 17; give a number between 1 and 16"):
        vocabulary.nearest(table[19:20], 17)


def test_words_may_be_a_mapping_short_or_unknown(table: Tensor) -> None:
    def names(words: list[str] | dict[int, str] | None) -> list[str | None]:
        return [found[0].word for found in Vocabulary(table, SPECIAL, words).nearest(table[[4, 17]], 1)]

    assert names({4: "four"}) == ["four", None]
    assert names(WORDS[:5]) == ["word4", None]
    assert names(None) == [None, None]


def test_nearest_refuses_other_input(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="'cosine' or 'euclidean'"):
        vocabulary.nearest(torch.ones(1, 8), 1, "dot")
    with pytest.raises(ValueError, match=r"shape \(1, 9\).*\[n, 8\]"):
        vocabulary.nearest(torch.ones(1, 9), 1)
    with pytest.raises(ValueError, match="k is 0"):
        vocabulary.nearest(torch.ones(1, 8), 0)


class LargestTensor(TorchDispatchMode):
    """Remembers how many elements the largest result of an operation has."""

    elements = 0

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        result = operation(*arguments, **(named or {}))
        made = [part for part in tree_leaves(result) if isinstance(part, Tensor) and not part._is_view()]
        self.elements = max([self.elements, *(part.numel() for part in made)])
        return result


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_full_size_search_makes_no_copy_of_the_table(metric: str) -> None:
    vocabulary = Vocabulary(torch.full((49408, 1280), 0.0125, dtype=torch.float16))
    vectors = vocabulary.rows([1, 2])
    with LargestTensor() as largest:
        vocabulary.nearest(vectors, 10, metric)
    # Of one chunk at a time: a sixth.
    assert 0 < largest.elements < vocabulary.table.numel() / 5
