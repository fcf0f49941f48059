"""Where a concept starts: the rows of its initializer word, their direction and their magnitude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import sphere
from ..vocabulary import Vocabulary

# As many vectors as DTI Train offers. A prompt has room for 75, and the concept is not all of it.
MOST_TOKENS = 32


@dataclass(frozen=True)
class Start:
    """One encoder's starting point.

    direction: unit rows `[n_vectors, dim]` float32 on the CPU, v_0 and mu both (Algorithm 1, lines 2 and 3).
    magnitude: m*, `[n_vectors, 1]` float32.
    rows: the initializer's own, `[n_vectors, dim]` float32 on the CPU, with their own norms.
    """

    direction: Tensor
    magnitude: Tensor
    rows: Tensor


def check_tokens(word: str, token_ids: Mapping[str, Sequence[int]], n_vectors: int) -> None:
    """Raise ValueError where the initializer has no tokens, too many, or more than `n_vectors` (0: as many)."""
    longest = max((len(ids) for ids in token_ids.values()), default=0)
    if not word.strip() or longest == 0:
        raise _empty(word)
    if longest > MOST_TOKENS:
        raise ValueError(
            f"The initializer is {longest} tokens long, and at most {MOST_TOKENS} can be trained; it says what the "
            f"images show in a word or two, such as 'dog' or 'stuffed animal'. Got {word[:60]!r}..."
        )
    if n_vectors < 0 or 0 < n_vectors < longest:
        raise ValueError(
            f"n_vectors is {n_vectors}, but the initializer {word!r} is {longest} tokens long. "
            f"Set n_vectors to 0 (as many as the initializer has) or to at least {longest}, or choose a shorter word."
        )


def start_from_word(
    word: str,
    token_ids: Mapping[str, Sequence[int]],
    vocabularies: Mapping[str, Vocabulary],
    magnitude: str | float = "mean",
    n_vectors: int = 0,
) -> dict[str, Start]:
    """Start every encoder at `word`.

    A word of several tokens gives that many vectors, each with its own mu. `n_vectors` above that repeats the
    tokens in order ("red backpack" with 4: red, backpack, red, backpack); their positions tell the copies
    apart. 0 means as many as the word has tokens.

    Args:
        word: the initializer, one or several words of the vocabulary.
        token_ids: its ids by encoder key.
        vocabularies: by encoder key.
        magnitude: "mean", "min", "max", "initializer" or a positive number (`Vocabulary.magnitude`).
        n_vectors: how many vectors the concept gets in every encoder.

    Raises:
        ValueError: as `check_tokens`.
    """
    check_tokens(word, token_ids, n_vectors)
    longest = max(len(ids) for ids in token_ids.values())
    return {
        key: _start(vocabulary, _repeat(token_ids[key], n_vectors or longest), magnitude)
        for key, vocabulary in vocabularies.items()
    }


def _start(vocabulary: Vocabulary, ids: Sequence[int], magnitude: str | float) -> Start:
    rows = vocabulary.rows(ids).cpu()
    length = torch.as_tensor(vocabulary.magnitude(magnitude, ids), dtype=torch.float32, device="cpu")
    return Start(sphere.projx(rows), length.expand(len(ids)).reshape(-1, 1).clone(), rows)


def _empty(word: str) -> ValueError:
    return ValueError(
        f"The initializer {word!r} is empty. Give a word for what the images show, such as 'dog' or 'painting'."
    )


def _repeat(ids: Sequence[int], count: int) -> list[int]:
    return [ids[i % len(ids)] for i in range(count)]
