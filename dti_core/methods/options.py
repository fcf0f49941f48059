"""What may be tried beside a paper's recipe. Neutral by default."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

DECAYS = ("none", "cosine", "linear")


@dataclass(frozen=True)
class Options:
    """Changes of the recipe, of the loop or of a method.

    magnitude_factor: what m* is multiplied by.
    kappa_share: kappa as a share of the running mean of the data gradient's norm; replaces kappa where above 0.
    average: the result is the mean direction of that many last steps; 0 takes the last one.
    decay: of the learning rate over the steps: one of DECAYS.
    decay_floor: share of the learning rate that a decay comes down to; 0 for nothing.
    stratified: each image of a batch takes its noise level from another part of the range.
    noise_start, noise_end: the part of the noise schedule to train on, in ComfyUI's percent (`percent_to_sigma` of
        its model_sampling, as in ConditioningSetTimestepRange): 0 is the noisiest level, 1 the cleanest.
    caption_dropout: share of images whose caption is the embedding alone. An empty caption, as other trainers drop to,
        would train nothing here: the embedding is all that is trained, and would not be in it.
    zero_pad: captions move back by vectors of zeros, the whole part of a number drawn from the exponential distribution
        of this mean, up to 15 (`training.data.MOST_ZEROS`). For SANA alone, where the reference has 2; 0 for none.
    """

    magnitude_factor: float = 1.0
    kappa_share: float = 0.0
    average: int = 0
    decay: str = "none"
    decay_floor: float = 0.0
    stratified: bool = False
    noise_start: float = 0.0
    noise_end: float = 1.0
    caption_dropout: float = 0.0
    zero_pad: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.magnitude_factor) and self.magnitude_factor > 0):
            raise ValueError(f"magnitude_factor is {self.magnitude_factor}; it has to be above 0 (1 is the recipe's).")
        if not (math.isfinite(self.kappa_share) and self.kappa_share >= 0):
            raise ValueError(f"kappa_share is {self.kappa_share}; it has to be 0 (kappa itself) or above.")
        if self.average < 0:
            raise ValueError(f"average is {self.average}; it has to be 0 (the last step) or more.")
        if self.decay not in DECAYS:
            raise ValueError(f"decay is {self.decay!r}; choose one of {', '.join(DECAYS)}.")
        if not 0 <= self.decay_floor <= 1:
            raise ValueError(f"decay_floor is {self.decay_floor}; it has to be from 0 (to nothing) to 1 (no decay).")
        if self.decay_floor and self.decay == "none":
            raise ValueError(f"decay_floor is {self.decay_floor} without a decay; choose one, or leave the floor at 0.")
        if not 0 <= self.caption_dropout <= 1:
            raise ValueError(f"caption_dropout is {self.caption_dropout}; it has to be from 0 (never) to 1 (always).")
        if not (math.isfinite(self.zero_pad) and self.zero_pad >= 0):
            raise ValueError(f"zero_pad is {self.zero_pad}; it has to be 0 (none) or above (the reference's SANA: 2).")
        if not 0 <= self.noise_start < self.noise_end <= 1:
            raise ValueError(
                f"noise_start is {self.noise_start} and noise_end is {self.noise_end}; they go from 0 (the noisiest "
                "level) to 1 (the cleanest), and the start comes first. 0 and 1 train on the whole schedule, 0.2 and 1 "
                "on all but its noisiest fifth."
            )

    def in_use(self) -> dict[str, Any]:
        """Those that are not neutral."""
        neutral = asdict(Options())
        return {name: value for name, value in asdict(self).items() if value != neutral[name]}

    def rate_share(self, step: int, steps: int) -> float:
        """Share of the learning rate at `step` (1 for the first) of `steps`."""
        done = (step - 1) / steps
        left = {"none": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[self.decay]
        return self.decay_floor + (1 - self.decay_floor) * left
