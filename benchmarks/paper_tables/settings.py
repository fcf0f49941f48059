"""How a concept is learned and how its vectors are used: everything that tells two rows of a table apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Without training: the initializer's own word, all the words that describe the subject, and the world's drawing.
REFERENCES = ("class_word", "described", "drawn")
TRAINED = ("ti", "cross_init", "adamw_sphere", "dti")
DECAYS = ("none", "cosine", "linear")


@dataclass(frozen=True)
class Settings:
    """A method and its settings. The defaults are the effective recipe of the reference's SDXL launcher.

    method: one of REFERENCES or TRAINED.
    learning_rate: AdamW's in coordinates of a word, or the tangent of DTI's step angle.
    magnitude: m* in training: "mean", "min", "max" or "initializer" as in TrainingConfig, or "5x", in means.

    kappa_share, decay, average, stratified: as in dti_core.methods.Options.
    keep_best: the result is the best of what a fixed evaluation set saw, every 25 steps.
    surroundings: training captions name what is not the subject: background, place and size.
    best_word: start and prior from the word of the world with the least loss, not from the class word.
    """

    method: str = "dti"
    steps: int = 400
    batch_size: int = 4
    learning_rate: float = 0.04
    kappa: float = 1e-4
    magnitude: str = "mean"
    kappa_share: float = 0.0
    decay: str = "none"
    average: int = 0
    stratified: bool = False
    keep_best: bool = False
    surroundings: bool = False
    best_word: bool = False

    def __post_init__(self) -> None:
        if self.method not in (*REFERENCES, *TRAINED):
            raise ValueError(f"method is {self.method!r}; known: {', '.join((*REFERENCES, *TRAINED))}.")
        if self.decay not in DECAYS:
            raise ValueError(f"decay is {self.decay!r}; known: {', '.join(DECAYS)}.")
        if not 0 <= self.average <= self.steps:
            raise ValueError(f"average is {self.average}; give 0 to {self.steps}, the number of steps.")

    @property
    def trains(self) -> bool:
        return self.method in TRAINED

    @property
    def magnitude_factor(self) -> float:
        """What the vocabulary's own statistic is multiplied by."""
        in_means = self.magnitude.endswith("x") and self.magnitude != "max"
        return float(self.magnitude.removesuffix("x")) if in_means else 1.0

    @property
    def magnitude_statistic(self) -> str:
        return "mean" if self.magnitude_factor != 1 else self.magnitude


@dataclass(frozen=True)
class Use:
    """What is done with the vectors after training.

    step: take those of this step; 0 for the result.
    length: bring them to this many mean norms of the vocabulary; 0 leaves them as they are. 1 is TI-rescaled.
    """

    step: int = 0
    length: float = 0.0


AS_TRAINED = Use()


def as_json(item: Settings | Use) -> dict[str, Any]:
    return asdict(item)
