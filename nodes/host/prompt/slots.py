"""Where a concept's vectors go in the host's tokens: a mark for each, which no prompt's own token is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A token in whose place row `row` of the concept belongs."""

    row: int


@dataclass(frozen=True)
class Slots:
    """In the place of an embedding that has these rows of the concept."""

    rows: range

    @property
    def shape(self) -> tuple[int, int]:
        """As a tensor's of that many rows; they have no width."""
        return (len(self.rows), 0)

    def __getitem__(self, row: int) -> Slot:
        return Slot(self.rows[row])
