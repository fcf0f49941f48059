"""What is done, in the order in which it is of most use to a reader who cannot wait for the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import curves, main_tables
from .held_out import held_out_table
from .plan import Run, Scale, Table
from .recipe import recipe_table
from .settings import Settings

NAMES = (
    "main", "choosing", "seeds", "ablation", "rates", "recipe", "steps", "held_out", "strengths", "styles", "sampler",
    "rest", "improved",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Tables, and for which training seeds of theirs; () is all of them."""

    tables: tuple[Table, ...]
    seeds: tuple[int, ...] = ()

    def runs(self) -> Iterator[Run]:
        for table in self.tables:
            yield from table.runs(self.seeds)


def stage(name: str, scale: Scale, improved: Settings | None) -> Stage:
    """The stage of that name. `improved` is the recipe with what pays, None where that is nothing or not known yet."""
    first, more = scale.seeds[:1], scale.seeds[1:]
    if name == "main":
        return Stage((main_tables.table_2(scale),), first)
    if name == "choosing":
        return Stage((main_tables.choosing_table(scale),))
    if name == "seeds":
        return Stage((main_tables.table_2(scale),) if more else (), more)
    if name == "ablation":
        return Stage((main_tables.table_3(scale),), first)
    if name == "rates":
        return Stage((curves.rate_table(scale),))
    if name == "recipe":
        return Stage((recipe_table(scale),))
    if name == "steps":
        return Stage(tuple(curves.step_tables(scale)))
    if name == "held_out":
        return Stage((held_out_table(scale),))
    if name == "strengths":
        return Stage(tuple(curves.strength_tables(scale)))
    if name == "styles":
        return Stage((main_tables.style_table(scale),), first)
    if name == "sampler":
        return Stage((main_tables.finer_table(scale),))
    if name == "rest":
        return Stage((main_tables.table_3(scale), main_tables.style_table(scale)) if more else (), more)
    if name == "improved":
        return Stage((main_tables.improved_table(scale, improved),) if improved else ())
    raise ValueError(f"there is no stage {name!r}; there are {', '.join(NAMES)}.")
