"""Captions to token rows: the real CLIP tokenizer, and the list of rows that captions ever use."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch

from . import words

START, END = 49406, 49407
LENGTH = 77
# What follows the end token, per encoder, as the host pads it.
PADDING = {"l": END, "g": 0}
PIECES = re.compile(r"[a-z]+|[0-9]|[^a-z0-9\s]")


def known_words() -> list[str]:
    """Every word of the grammar, and some that prompts and templates use around a concept."""
    found: set[str] = set()
    tables = [value for name, value in vars(words).items() if name.isupper()]
    while tables:
        item = tables.pop()
        if isinstance(item, str):
            found.update(PIECES.findall(re.sub(r"\{.\}", " ", item)))
        elif isinstance(item, dict):
            tables.extend(item.values())
        else:
            tables.extend(item)
    found |= {"of", "a", "an", "the", "thing", ",", "in", "style", "small"}
    return sorted(found)


class Tokens:
    """Word by word tokenization, remembered; `encode` is the host tokenizer's own id list without specials."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode
        self._known: dict[str, list[int]] = {}
        ids = {token for word in known_words() for token in self._ids(word)}
        common = sorted({START, END, *ids})
        self.used = {"l": common, "g": sorted({*common, PADDING["g"]})}
        self._row = {key: {token: row for row, token in enumerate(used)} for key, used in self.used.items()}

    def _ids(self, word: str) -> list[int]:
        if word not in self._known:
            self._known[word] = self._encode(word)
        return self._known[word]

    def ids(self, text: str) -> list[int]:
        """Token ids of a caption, with start and end token, cut to the length of the encoders."""
        body = [token for word in PIECES.findall(text.lower()) for token in self._ids(word)]
        return [START, *body[: LENGTH - 2], END]

    def batch(self, texts: Sequence[str], positions: int = LENGTH) -> tuple[dict[str, torch.Tensor], list[int]]:
        """Row indices per encoder, and the number of tokens up to the end token.

        [n, positions], or more where a text is longer.
        """
        lists = [self.ids(text) for text in texts]
        lengths = [len(ids) for ids in lists]
        positions = max(positions, *lengths)
        out = {}
        for key, pad in PADDING.items():
            row = self._row[key]
            table = np.full((len(texts), positions), row[pad], np.int64)
            for index, ids in enumerate(lists):
                table[index, : len(ids)] = [row[token] for token in ids]
            out[key] = torch.from_numpy(table)
        return out, lengths


def host_tokens() -> Tokens:
    """With the tokenizer that the host carries."""
    from comfy.sd1_clip import SDTokenizer

    tokenizer = SDTokenizer().tokenizer
    return Tokens(lambda word: tokenizer(word)["input_ids"][1:-1])
