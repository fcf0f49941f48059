from __future__ import annotations

import pytest
import torch
from dti_pack.dti_core.analysis.norms import norm_report
from dti_pack.dti_core.vocabulary import Vocabulary
from dti_pack.nodes.inspector.norm_text import render, summary, verdict
from torch import Tensor


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


def test_the_sentence_that_a_person_reads() -> None:
    assert verdict(7.4, 0.387) == (
        "norm 7.4 is 19x the vocabulary mean 0.387: far above ordinary words, little of its position is seen "
        "(Effect I); compare it rescaled"
    )


def test_the_table_shows_both_kinds_of_nearest_side_by_side() -> None:
    table = torch.tensor([[0.3, 0.0], [0.5, 0.04], [0.0, 0.05], [0.0, 0.6]])
    vocabulary = Vocabulary(table, words=["apple</w>", "apples</w>", "noise", "pear</w>"])
    text = render(norm_report(vocabulary, torch.tensor([[0.1, 0.0], [3.0, 0.0]]), [0], k=1))
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "0.1", "0.28", "25.0", "0.0", "deg", "short"] in lines
    assert ["2", "3", "8.3", "100.0", "0.0", "deg", "very", "long"] in lines
    assert ["1", "apple", "1.000", "noise-", "0.112"] in lines
    assert text.isascii()


def test_words_that_are_not_known_are_shown_by_number(vocabulary: Vocabulary) -> None:
    assert "token 7" in render(norm_report(Vocabulary(vocabulary.table), vocabulary.rows([7])))


def test_many_vectors_are_one_line_and_then_a_line_each(vocabulary: Vocabulary) -> None:
    norms = [0.4] * 60 + [0.9] * 12 + [3.0] * 3
    report = norm_report(vocabulary, torch.cat([of_norm(norm) for norm in norms]))
    assert summary(report) == (
        "75 vectors of norm 0.4 to 3, 1x to 7.5x the vocabulary mean 0.399: 60 ordinary, 12 long, 3 very long"
    )
    assert len(render(report).splitlines()) == 1 + 2 * (1 + 75)
    few = norm_report(vocabulary, of_norm(0.4).expand(8, -1))
    assert len(render(few).splitlines()) == 1 + (1 + 8) + (1 + 8 * 5)
    assert summary(norm_report(vocabulary, of_norm(0.4))).endswith("close to an ordinary word")



def test_a_zero_vector_is_shown_without_a_direction(vocabulary: Vocabulary) -> None:
    text = render(norm_report(vocabulary, torch.cat([of_norm(0.0), of_norm(0.4)]), [4]))
    assert "zero" in text and "nan" not in text
