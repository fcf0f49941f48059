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

# Of whom the ways between two words are shown.
PAIRS = (
    ("zebra_cat", "toad_mushroom"), ("party_house", "frosted_donut"), ("chess_moon", "leopard_cloud"),
)  # fmt: skip


@dataclass(frozen=True)
class Examination:
    """How vectors are tried: the first `prompts_per_level` prompts of each level (0: all), one picture of each."""

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
        settings = as_json(self.settings)
        if not self.settings.trains:
            settings = {"method": self.settings.method}
        return digest({"version": 1, "concept": self.concept, "seed": self.seed, "settings": settings})

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

    def runs_of(self, row: Row, concept: str, seed: int) -> list[Run]:
        """One for every sampling seed, all of one training."""
        # What is not trained does not depend on a training seed.
        first = Run(concept, seed if row.settings.trains else 0, row.settings, row.use, self.examination)
        tried = (replace(self.examination, sampling_seed=number) for number in range(self.sampling_seeds))
        return [replace(first, examination=examination) for examination in tried]

    def training_id(self, row: Row, concept: str, seed: int) -> str:
        return self.runs_of(row, concept, seed)[0].training_id

    def runs(self) -> Iterator[Run]:
        # A stopped table has its first seeds whole.
        for seed in self.seeds:
            for concept in self.concepts:
                for row in self.rows:
                    yield from self.runs_of(row, concept, seed)


@dataclass(frozen=True)
class Scale:
    """How much is done: the whole, or a cut of it."""

    choosing: tuple[str, ...] = ("candy_star", "jester_box", "target_flower")
    main_choosing: tuple[str, ...] = CHOOSING
    reporting: tuple[str, ...] = REPORTING
    styles: tuple[str, ...] = tuple(style.name for style in STYLES)
    seeds: tuple[int, ...] = (1, 2)
    steps: int = 200
    reference_steps: int = 400
    checkpoint_every: int = 50
    pairs: tuple[tuple[str, str], ...] = PAIRS
    sampling_seeds: int = 2
    examination: Examination = Examination()
    sweep_examination: Examination = Examination()
    sweeps: bool = True

    def of(self, method: str, **changes: object) -> Settings:
        return Settings(method, **{"steps": self.steps, **changes})  # type: ignore[arg-type]


WHOLE = Scale()
# One subject of each half and a handful of steps: whether everything runs, not who wins.
CUT = Scale(
    choosing=("candy_star",),
    main_choosing=("candy_star",),
    reporting=("zebra_cat",),
    styles=("winter_pencil",),
    seeds=(1,),
    steps=6,
    reference_steps=6,
    checkpoint_every=3,
    pairs=(("candy_star", "zebra_cat"),),
    sampling_seeds=1,
    examination=Examination(prompts_per_level=2, steps=4),
    sweep_examination=Examination(prompts_per_level=1, steps=4),
    sweeps=False,
)
