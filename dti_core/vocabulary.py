"""One text encoder's frozen token table: the norms of its words, and which of them lie near a vector."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Rows that no word uses: 207 rows of CLIP-L and 224 of OpenCLIP-bigG are zero in fp16 and near zero in fp32.
UNUSED_NORM = 1e-3

# Rows in float32 at a time: 20 MiB at a width of 1280.
CHUNK = 4096


@dataclass(frozen=True)
class Neighbour:
    """A token near a vector; `value` is the cosine or the distance, `word` None where it is not known."""

    token_id: int
    word: str | None
    value: float


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The token table [n_tokens, dim] of one text encoder, in any floating dtype, on any device.

    `special_ids` are the tokens that are not words (start, end, padding). `words` is the text of each token.
    Statistics are over the real words: rows with a norm above 1e-3 that are not special.
    """

    table: Tensor
    special_ids: frozenset[int] = frozenset()
    words: Sequence[str] | Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or not self.table.is_floating_point():
            raise ValueError(
                f"the token table is {self.table.dtype} {tuple(self.table.shape)}; "
                "give a floating point table [n_tokens, dim]."
            )

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        return self.table.shape[1]

    @cached_property
    def norms(self) -> Tensor:
        """L2 norm of every row, float32 [n_tokens], on the table's device."""
        return torch.cat([rows.norm(dim=-1) for _, rows in self._chunks()])

    @cached_property
    def is_word(self) -> Tensor:
        """Which rows are real words, bool [n_tokens]."""
        mask = self.norms > UNUSED_NORM
        mask[sorted(self.special_ids)] = False
        return mask

    @cached_property
    def mean(self) -> float:
        """Mean norm of the real words: the in-distribution magnitude m* of eq. 1."""
        return self._word_norms.mean().item()

    @cached_property
    def std(self) -> float:
        """Standard deviation (of the population) of the real words' norms."""
        return self._word_norms.std(correction=0).item()

    @cached_property
    def min(self) -> float:
        """Smallest norm of the real words."""
        return self._word_norms.min().item()

    @cached_property
    def max(self) -> float:
        """Largest norm of the real words."""
        return self._word_norms.max().item()

    def magnitude(self, spec: str | float, token_ids: Sequence[int] | None = None) -> float | Tensor:
        """The norm m* that a direction is given.

        `spec` is "mean", "min" or "max" over the real words, a positive number, or "initializer" for the
        norms of the rows `token_ids`, float32 [n]. Raises ValueError for anything else, and for an
        initializer that is an unused row.
        """
        if spec == "mean":
            return self.mean
        if spec == "min":
            return self.min
        if spec == "max":
            return self.max
        if spec == "initializer":
            return self._initializer_norms(token_ids)
        if isinstance(spec, str) or not 0 < spec < math.inf:
            raise ValueError(
                f"magnitude is {spec!r}; give 'mean', 'min', 'max', 'initializer' or a positive finite "
                f"number (this vocabulary's mean is {self.mean:.4g})."
            )
        return float(spec)

    def rows(self, token_ids: Sequence[int]) -> Tensor:
        """The embeddings of `token_ids`, a float32 copy [n, dim] on the table's device.

        Raises ValueError for no ids and for ids outside of the table.
        """
        if not token_ids:
            raise ValueError("got no token ids; give at least one (is the initializer word empty?).")
        outside = [i for i in token_ids if not 0 <= i < len(self.table)]
        if outside:
            raise ValueError(
                f"token ids {outside} are not in the table, which has ids 0 to {len(self.table) - 1}; "
                "use ids of this encoder's own tokenizer."
            )
        return self.table[list(token_ids)].float().clone()

    def nearest(self, vectors: Tensor, k: int, metric: str = "cosine") -> tuple[tuple[Neighbour, ...], ...]:
        """The `k` real words nearest to each row of `vectors` [n, dim], nearest first.

        `metric` is "cosine" (the value is the cosine) or "euclidean" (the value is the distance). Raises
        ValueError for another metric, another width, and a k not between 1 and the number of real words.
        """
        if metric not in ("cosine", "euclidean"):
            raise ValueError(f"metric is {metric!r}; give 'cosine' or 'euclidean'.")
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"vectors have shape {tuple(vectors.shape)}; this table needs [n, {self.dim}].")
        n_words = int(self.is_word.sum())
        if not 1 <= k <= n_words:
            raise ValueError(f"k is {k}; give a number between 1 and {n_words}, the number of words.")
        vectors = vectors.detach().to(self.table.device, torch.float32)
        ids, values = self._top(vectors, k, metric)
        return tuple(
            tuple(Neighbour(i, self._word(i), value) for i, value in zip(row_ids, row_values, strict=True))
            for row_ids, row_values in zip(ids.tolist(), values.tolist(), strict=True)
        )

    def _top(self, vectors: Tensor, k: int, metric: str) -> tuple[Tensor, Tensor]:
        ids = torch.zeros(len(vectors), 0, dtype=torch.long, device=vectors.device)
        values = torch.zeros(len(vectors), 0, device=vectors.device)
        for start, rows in self._chunks():
            if metric == "cosine":
                score = _cosine(vectors, rows)
            else:
                # The matrix product form would give a vector a distance of 1e-3 to itself.
                score = -torch.cdist(vectors, rows, compute_mode="donot_use_mm_for_euclid_dist")
            score[:, ~self.is_word[start : start + len(rows)]] = -math.inf
            chunk_ids = torch.arange(start, start + len(rows), device=ids.device).expand(len(vectors), -1)
            values, order = torch.cat([values, score], dim=1).topk(min(k, values.shape[1] + len(rows)))
            ids = torch.cat([ids, chunk_ids], dim=1).gather(1, order)
        return ids, values if metric == "cosine" else -values

    def _initializer_norms(self, token_ids: Sequence[int] | None) -> Tensor:
        if token_ids is None:
            raise ValueError("magnitude 'initializer' needs the initializer's token ids; pass token_ids.")
        norms: Tensor = self.rows(token_ids).norm(dim=-1)
        if bool((norms <= UNUSED_NORM).any()):
            raise ValueError(
                f"initializer tokens {list(token_ids)} have norms {norms.tolist()}: at least one is unused; "
                "choose another initializer word or magnitude 'mean'."
            )
        return norms

    @cached_property
    def _word_norms(self) -> Tensor:
        norms = self.norms[self.is_word].double()
        if len(norms) == 0:
            raise ValueError(
                f"the token table {tuple(self.table.shape)} has no word with a norm above {UNUSED_NORM:g}; "
                "its weights are probably not loaded."
            )
        return norms

    def _chunks(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self.table), CHUNK):
            yield start, self.table[start : start + CHUNK].detach().float()

    def _word(self, token_id: int) -> str | None:
        if isinstance(self.words, Mapping):
            return self.words.get(token_id)
        if self.words is None or token_id >= len(self.words):
            return None
        return self.words[token_id]


def _cosine(vectors: Tensor, rows: Tensor) -> Tensor:
    # Unused rows become 0/0; the caller masks them.
    cosine: Tensor = vectors @ rows.T / vectors.norm(dim=-1, keepdim=True) / rows.norm(dim=-1)
    return cosine.clamp(-1, 1)
