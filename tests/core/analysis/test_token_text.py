from __future__ import annotations

import pytest

from dti_core.analysis.token_text import pieces_text, token_text


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("dog</w>", "dog"),
        ("dog", "dog"),
        ("\u00f0\u0141\u0132\u00b6</w>", "\U0001f436"),  # a dog's face, byte by byte
        ("\u00e2\u0123\u00a9</w>", "U+2069"),  # the paper's Table 1: a character that does not print
        ("\u00f0\u0141", "bytes F0 9F"),  # the first half of one
        ("\u2581dog", "\u2581dog"),  # T5's and Gemma's way
    ],
)
def test_tokens_are_readable(token: str, text: str) -> None:
    assert token_text(token) == text


@pytest.mark.parametrize(
    ("tokens", "texts"),
    [
        (["z", "x", "qvy</w>"], ["z", "x", "qvy"]),
        (["\u00e7\u012c", "\u00ac</w>"], ["\u72ac"]),  # CLIP's two pieces of the Japanese word for a dog
        (["m", "\u00c3\u00bc", "ller</w>"], ["m", "\u00fc", "ller"]),
        (["a", "\u00f0\u0141"], ["a", "bytes F0 9F"]),
    ],
)
def test_pieces_are_joined_until_they_are_text(tokens: list[str], texts: list[str]) -> None:
    assert pieces_text(tokens) == texts
