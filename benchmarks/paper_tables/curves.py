"""Tables along a knob: TI's rate, steps of training, norm at use, shares of TEA. They choose nothing."""

from __future__ import annotations

from .main_tables import NAMES, norm_matched
from .plan import REPORT, Row, Scale, Table
from .settings import AS_TRAINED, RESCALED, TRAINED, Settings, Use


def rate_table(scale: Scale) -> Table:
    """TI's rate, in coordinates of a word: which norm goes with which loss of text?"""
    rows = []
    for rate in sorted({*scale.rates, scale.of("ti").rate}):
        settings = scale.of("ti", learning_rate=rate)
        rows += [Row(f"TI at {rate:g}", settings), Row(f"TI at {rate:g}, rescaled", settings, RESCALED)]
    return _curve("TI's rate", rows, scale, scale.sampling_seeds)


def step_tables(scale: Scale) -> list[Table]:
    """Every method on its way, from what its training has left: is an earlier TI just as good?"""
    trained = {NAMES[method]: scale.of(method) for method in TRAINED} | {"TI at the paper's norm": norm_matched(scale)}
    rows = {name: _on_the_way(name, settings, scale) for name, settings in trained.items()}
    return [_curve(f"{name} on its way", steps, scale) for name, steps in rows.items()]


def strength_tables(scale: Scale) -> list[Table]:
    """The same directions at other norms, and TI adjusted by other shares."""
    trained = {"TI": scale.of("ti"), "DTI": scale.of("dti")}
    norms = [
        _curve(f"{name} at other norms", [Row(f"{name} at {x:g} m*", s, Use(length=x)) for x in scale.strengths], scale)
        for name, s in trained.items()
    ]
    adjusted = [
        Row(f"TEA {norm:g}/{turn:g}", trained["TI"], Use(norm_share=norm, turn_share=turn))
        for norm, turn in scale.adjustments
    ]
    return [*norms, _curve("TEA's shares", adjusted, scale)]


def _on_the_way(name: str, settings: Settings, scale: Scale) -> list[Row]:
    earlier = range(scale.checkpoint_every, scale.steps, scale.checkpoint_every)
    rows = [Row(f"{name}, {step} steps", settings, Use(step=step)) for step in earlier]
    return [*rows, Row(f"{name}, {scale.steps} steps", settings, AS_TRAINED)]


def _curve(name: str, rows: list[Row], scale: Scale, sampling_seeds: int = 1) -> Table:
    return Table(name, REPORT, tuple(rows), scale.reporting, (1,), sampling_seeds, scale.examination)
