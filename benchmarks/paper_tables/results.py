"""Stored scores as the numbers that tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .plan import Row, Run, Table
from .store import Store

Values = npt.NDArray[np.float64]
AXES = ("image", "text")


class Results:
    """What has been done so far, looked up by run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, Mapping[str, Any]] = {}

    def score(self, run: Run) -> Mapping[str, Any] | None:
        name = run.score_id
        if name not in self._known:
            found = self.store.score(name)
            if found is None:
                return None
            self._known[name] = found
        return self._known[name]

    def axes(self, run: Run) -> tuple[float, float] | None:
        """Mean image and text of a run."""
        score = self.score(run)
        if score is None:
            return None
        return float(np.mean(score["image"])), float(np.mean([x for x in score["text"] if x is not None]))

    def values(self, table: Table, row: Row, axis: str, level: int | None = None) -> Values:
        """Means per concept and training seed, [concepts, seeds]; nan where a run is missing."""
        return np.asarray(
            [[self._mean(table.runs_of(row, concept, seed), axis, level) for seed in table.seeds]
             for concept in table.concepts]
        )  # fmt: skip

    def seconds(self, tables: Sequence[Table]) -> tuple[int, float]:
        """How many trainings of the tables there are, and the seconds that they took, each counted once."""
        trained = {run.training_id for table in tables for run in table.runs() if run.settings.trains}
        found = [kept for kept in map(self.store.training, trained) if kept is not None]
        return len(found), sum(notes["seconds"] for _, notes in found)

    def norm(self, table: Table, row: Row) -> float:
        """Mean norm of the vectors as they are used, in means of the vocabulary; nan without any."""
        scores = [
            self.score(self.first(table, row, concept, seed)) for concept in table.concepts for seed in table.seeds
        ]
        found = [score["norm"]["in_means"] for score in scores if score is not None and score["norm"]]
        return float(np.mean(found)) if found else float("nan")

    def first(self, table: Table, row: Row, concept: str, seed: int) -> Run:
        """The run of the first sampling seed."""
        return table.runs_of(row, concept, seed)[0]

    def held(self, table: Table, row: Row) -> dict[str, tuple[int, int]]:
        """By attribute, how often it held and how often it was asked for, over all runs of the row."""
        out: dict[str, tuple[int, int]] = {}
        for concept in table.concepts:
            for seed in table.seeds:
                for run in table.runs_of(row, concept, seed):
                    score = self.score(run) or {"held": {}}
                    for name, (right, asked) in score["held"].items():
                        before = out.get(name, (0, 0))
                        out[name] = before[0] + right, before[1] + asked
        return out

    def _mean(self, runs: Sequence[Run], axis: str, level: int | None) -> float:
        """Over the pictures of all runs; nan where one of them is missing."""
        kept: list[float] = []
        for run in runs:
            score = self.score(run)
            if score is None:
                return float("nan")
            levels = zip(score[axis], score["level"], strict=True)
            kept += [value for value, own in levels if value is not None and level in (None, own)]
        return float(np.mean(kept)) if kept else float("nan")
