"""The tables that choose: learning rates, kappa, m*, strength, steps, and what the paper's recipe lacks."""

from __future__ import annotations

from dataclasses import replace

from .plan import CHOOSE, Row, Scale, Table
from .settings import REFERENCES, Settings, Use

KAPPAS = (0.0, 5e-5, 1e-4, 2e-4, 5e-4)
KAPPA_SHARES = (0.01, 0.03, 0.1, 0.3)
MAGNITUDES = ("min", "mean", "initializer", "5x", "12x")
STRENGTHS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
RATES = {
    "ti": (5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
    "cross_init": (1e-3, 5e-3, 2e-2),
    "adamw_sphere": (1e-3, 2e-3, 5e-3, 2e-2),
    "dti": (0.01, 0.02, 0.04, 0.08),
}
NAMES = {"ti": "TI", "cross_init": "CrossInit", "adamw_sphere": "AdamW on the sphere", "dti": "DTI"}
MOST_STEPS = 500
# Worth a second look where training is longer: what calms the last steps, and what gained text.
IN_DOUBT = (
    "cosine decay", "mean of the last quarter", "stratified sigmas", "kappa 0.03 x gradient norm",
    "captions name the surroundings",
)  # fmt: skip


def rate_table(method: str, scale: Scale) -> Table:
    rates = RATES[method] if scale.sweeps else RATES[method][-2:]
    rows = [Row(f"{NAMES[method]} lr {rate:g}", scale.of(method, learning_rate=rate)) for rate in rates]
    # TI-rescaled may want another rate than TI.
    if method == "ti":
        rows += [replace(row, label=f"{row.label} rescaled", use=Use(length=1.0)) for row in rows]
    return _table(f"rate of {NAMES[method]}", rows, scale)


def kappa_table(scale: Scale) -> Table:
    rows = [Row(f"kappa {kappa:g}", scale.of("dti", kappa=kappa)) for kappa in KAPPAS]
    rows += [Row(f"kappa {share:g} x gradient norm", scale.of("dti", kappa_share=share)) for share in KAPPA_SHARES]
    return _table("kappa", rows, scale)


def magnitude_table(scale: Scale) -> Table:
    rows = [Row(f"m* {magnitude}", scale.of("dti", magnitude=magnitude)) for magnitude in MAGNITUDES]
    return _table("m* in training", rows, scale)


def strength_table(scale: Scale) -> Table:
    """The same directions, lengthened or shortened when they are used."""
    ti, dti = scale.of("ti", learning_rate=2e-2), scale.of("dti")
    rows = [Row(f"TI lr 0.02 at {x:g} m*", ti, Use(length=x)) for x in STRENGTHS]
    rows += [Row(f"DTI at {x:g} m*", dti, Use(length=x)) for x in STRENGTHS]
    return _table("magnitude at use", rows, scale)


def step_table(scale: Scale) -> Table:
    ti, dti = replace(scale.of("ti", learning_rate=2e-2), steps=MOST_STEPS), replace(scale.of("dti"), steps=MOST_STEPS)
    steps = range(scale.checkpoint_every, MOST_STEPS + 1, scale.checkpoint_every)
    rows = [Row(f"TI lr 0.02, {n} steps", ti, Use(step=n)) for n in steps]
    rows += [Row(f"DTI, {n} steps", dti, Use(step=n)) for n in steps]
    return _table("steps", rows, scale)


def improvements(base: Settings) -> dict[str, Settings]:
    """One change of the recipe each."""
    tail = base.steps // 4
    return {
        "cosine decay": replace(base, decay="cosine"),
        "linear decay": replace(base, decay="linear"),
        "mean of the last quarter": replace(base, average=tail),
        "best on an evaluation set": replace(base, keep_best=True),
        "stratified sigmas": replace(base, stratified=True),
        "kappa 0.03 x gradient norm": replace(base, kappa_share=0.03),
        "captions name the surroundings": replace(base, surroundings=True),
        "start at the best word": replace(base, best_word=True),
    }


def improvement_table(scale: Scale, steps: int) -> Table:
    """Every change of the recipe alone; at the reference's length, those that the shorter table leaves in doubt."""
    base = scale.of("dti", steps=steps)
    changes = improvements(base)
    if steps > scale.steps:
        changes = {label: changes[label] for label in IN_DOUBT}
    rows = [Row("DTI", base), *(Row(label, settings) for label, settings in changes.items())]
    return _table(f"improvements at {steps} steps", rows if scale.sweeps else rows[:3], scale)


def first_table(scale: Scale) -> Table:
    """A first look: the reference's settings, a usual rate of TI, and what stands at the ends of the scale."""
    usual, high, dti = scale.of("ti", learning_rate=5e-3), scale.of("ti", learning_rate=2e-2), scale.of("dti")
    rows = [Row(name.replace("_", " "), Settings(name)) for name in REFERENCES]
    rows += [
        Row("TI lr 0.02", high),
        Row("TI lr 0.02 rescaled", high, Use(length=1.0)),
        Row("DTI", dti),
        Row("TI lr 0.005", usual),
        Row("TI lr 0.005 rescaled", usual, Use(length=1.0)),
        Row("DTI cosine decay", replace(dti, decay="cosine")),
    ]
    return _table("first look", rows, scale)


def ablation_table(scale: Scale) -> Table:
    """The paper's Table 3, of runs that the sweeps make anyway; 12 means are about its m = 5."""
    dti = scale.of("dti")
    rows = [Row(f"AdamW lr {rate:g}, mean, no prior", scale.of("adamw_sphere", learning_rate=rate))
            for rate in RATES["adamw_sphere"][-2:]]  # fmt: skip
    rows += [Row(f"RSGD, m* {m}, kappa 1e-4", replace(dti, magnitude=m)) for m in ("min", "12x")]
    rows += [Row(f"RSGD, m* mean, kappa {kappa:g}", replace(dti, kappa=kappa)) for kappa in (0.0, 5e-4, 1e-4)]
    return _table("Table 3", rows, scale)


def deciding_tables(scale: Scale) -> list[Table]:
    """What settings are chosen from; they come first."""
    rates = [rate_table(method, scale) for method in ("dti", "ti", "adamw_sphere", "cross_init")]
    improved = improvement_table(scale, scale.steps)
    if not scale.sweeps:
        return [*rates, improved]
    return [first_table(scale), *rates, improved, kappa_table(scale), improvement_table(scale, scale.reference_steps)]


def showing_tables(scale: Scale) -> list[Table]:
    """What says how the method behaves, and decides nothing."""
    if not scale.sweeps:
        return []
    return [strength_table(scale), magnitude_table(scale), step_table(scale), ablation_table(scale)]


def _table(name: str, rows: list[Row], scale: Scale) -> Table:
    return Table(name, CHOOSE, tuple(rows), scale.choosing, examination=scale.sweep_examination)
