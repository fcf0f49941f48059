"""How a concept is trained and how its vectors are used: everything that tells two rows of a table apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dti_pack.dti_core.methods import METHODS

# Without training: the initializer's own word, all the words that describe the subject, and the world's drawing.
REFERENCES = ("class_word", "described", "drawn")
# What trains, and what dti_core calls it.
TRAINED = {"ti": "Textual Inversion", "cross_init": "CrossInit", "adamw_sphere": "projected AdamW", "dti": "DTI"}
DECAYS = ("none", "cosine", "linear")
# A step of `Use`: that of the lowest loss of the image that was held out.
CHOSEN = -1


@dataclass(frozen=True)
class Settings:
    """A method and its settings. The defaults are the effective recipe of the reference's SDXL launcher.

    method: one of REFERENCES or of TRAINED.
    learning_rate: AdamW's in coordinates of a word, or the tangent of DTI's step angle; None for the reference's.
    magnitude: m* in training: "mean", "min", "max" or "initializer" as in TrainingConfig, or "5x", in means.

    kappa_share, decay, decay_floor, average, stratified, noise_start, noise_end: as in dti_core.methods.Options.
    surroundings: training captions name what is not the subject: background, place and size.
    best_word: start and prior from the word of the world with the least loss, not from the class word.
    validate_every: the last image is not trained on, and its loss measured every so many steps; 0 trains on all.
    """

    method: str = "dti"
    steps: int = 400
    batch_size: int = 4
    learning_rate: float | None = None
    kappa: float = 1e-4
    magnitude: str = "mean"
    kappa_share: float = 0.0
    decay: str = "none"
    decay_floor: float = 0.0
    average: int = 0
    stratified: bool = False
    noise_start: float = 0.0
    noise_end: float = 1.0
    surroundings: bool = False
    best_word: bool = False
    validate_every: int = 0

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
    def rate(self) -> float:
        """The learning rate, in the method's own terms."""
        return METHODS[TRAINED[self.method]].learning_rate if self.learning_rate is None else self.learning_rate

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

    step: take those of this step; 0 for the result, CHOSEN for the one that was chosen.
    length: bring them to this norm, in mean norms of the vocabulary; 0 leaves it. 1 is TI-rescaled.
    norm_share, turn_share: bring them nearer to the class word, as dti_core.methods.adjust.adjust_to_word (TEA).
    """

    step: int = 0
    length: float = 0.0
    norm_share: float = 0.0
    turn_share: float = 0.0


AS_TRAINED, RESCALED = Use(), Use(length=1.0)
TEA = Use(norm_share=0.5, turn_share=0.2)


def as_json(item: Settings | Use) -> dict[str, Any]:
    """What a run is known by: all that is not usual, so that a field that comes later leaves stored results theirs."""
    usual = asdict(type(item)())
    changed = {name: value for name, value in asdict(item).items() if value != usual[name]}
    return {**changed, "method": item.method, "learning_rate": item.rate} if isinstance(item, Settings) else changed
