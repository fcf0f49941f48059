"""Runs and tables: what is trained, what is done with it, and on whom.

Half of the concepts choose settings, the other half reports. A table that chooses cannot hold a reporting concept:
it does not come into being.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from small_world.subjects import STYLES, SUBJECTS, Style, Subject

from .settings import AS_TRAINED, Settings, Use, as_json
from .store import digest

CHOOSE, REPORT = "choose", "report"
CONCEPTS: dict[str, Subject | Style] = {concept.name: concept for concept in (*SUBJECTS, *STYLES)}
CHOOSING = tuple(subject.name for subject in SUBJECTS if subject.chooses)
REPORTING = tuple(subject.name for subject in SUBJECTS if not subject.chooses)

# Of whom the ways between two embeddings are shown.
PAIRS = (("night_star", "tile_heart"), ("neon_tetra", "signal_triangle"), ("chess_flower", "frosted_donut"))


@dataclass(frozen=True)
class Examination:
    """How vectors are tried: the first `prompts_per_level` prompts of each level (0: all), one image of each."""

    prompts_per_level: int = 0
    sampling_seed: int = 0
    steps: int = 8
    guidance: float = 4.0


@dataclass(frozen=True)
class Run:
    """One training, one use of what came out, and how that is tried."""

    concept: str
    seed: int
    settings: Settings
    use: Use = AS_TRAINED
    examination: Examination = Examination()

    @property
    def training_id(self) -> str:
        settings = as_json(self.settings) if self.settings.trains else {"method": self.settings.method}
        return digest({"version": 2, "concept": self.concept, "seed": self.seed, "settings": settings})

    @property
    def score_id(self) -> str:
        return digest([self.training_id, as_json(self.use), vars(self.examination)])


@dataclass(frozen=True)
class Row:
    """A line of a table: a name, and what stands behind it."""

    label: str
    settings: Settings
    use: Use = AS_TRAINED


@dataclass(frozen=True)
class Table:
    """Rows tried on concepts, training seeds and sampling seeds. purpose: CHOOSE or REPORT; the first alone chooses."""

    name: str
    purpose: str
    rows: tuple[Row, ...]
    concepts: tuple[str, ...]
    seeds: tuple[int, ...] = (1,)
    sampling_seeds: int = 1
    examination: Examination = Examination()

    def __post_init__(self) -> None:
        if self.purpose not in (CHOOSE, REPORT):
            raise ValueError(f"purpose is {self.purpose!r}; give {CHOOSE!r} or {REPORT!r}.")
        if self.purpose == CHOOSE:
            reporting = [name for name in self.concepts if not CONCEPTS[name].chooses]
            if reporting:
                raise ValueError(f"table {self.name!r} chooses settings and must not see {', '.join(reporting)}.")

    def row(self, label: str) -> Row:
        return {row.label: row for row in self.rows}[label]

    def runs_of(self, row: Row, concept: str, seed: int) -> list[Run]:
        """One for every sampling seed, all of one training."""
        # What is not trained does not depend on a training seed.
        first = Run(concept, seed if row.settings.trains else 0, row.settings, row.use, self.examination)
        tried = (replace(self.examination, sampling_seed=number) for number in range(self.sampling_seeds))
        return [replace(first, examination=examination) for examination in tried]

    def training_id(self, row: Row, concept: str, seed: int) -> str:
        return self.runs_of(row, concept, seed)[0].training_id

    def runs(self, seeds: tuple[int, ...] = ()) -> Iterator[Run]:
        """Of these training seeds, or of all."""
        for seed in seeds or self.seeds:
            for concept in self.concepts:
                for row in self.rows:
                    yield from self.runs_of(row, concept, seed)


@dataclass(frozen=True)
class Scale:
    """How much is done: the whole, or a cut of it.

    rates: of TI, in coordinates of a word, beside the reference's; the last one brings it to the paper's norm.
    strengths: norms at use, in m*. adjustments: shares of TEA. changes: how many changes of the recipe are tried.
    """

    choosing: tuple[str, ...] = CHOOSING
    reporting: tuple[str, ...] = REPORTING
    styles: tuple[str, ...] = tuple(style.name for style in STYLES if not style.chooses)
    seeds: tuple[int, ...] = (1, 2, 3)
    steps: int = 400
    checkpoint_every: int = 50
    rates: tuple[float, ...] = (0.35, 0.7, 2.8, 4.0)
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    adjustments: tuple[tuple[float, float], ...] = ((0.25, 0.1), (0.5, 0.2), (0.75, 0.4), (1.0, 0.6))
    changes: int | None = None
    pairs: tuple[tuple[str, str], ...] = PAIRS
    sampling_seeds: int = 2
    examination: Examination = Examination()

    def of(self, method: str, **changes: object) -> Settings:
        return Settings(method, **{"steps": self.steps, **changes})  # type: ignore[arg-type]


WHOLE = Scale()
# One subject of each half and a handful of steps: whether everything runs, not who wins.
CUT = Scale(
    choosing=("candy_star",),
    reporting=("night_star",),
    styles=("old_comic",),
    seeds=(1,),
    steps=4,
    checkpoint_every=2,
    rates=(0.7, 4.0),
    strengths=(1.0, 4.0),
    adjustments=((0.5, 0.2),),
    changes=2,
    pairs=(("candy_star", "night_star"),),
    sampling_seeds=1,
    examination=Examination(prompts_per_level=1, steps=4),
)
