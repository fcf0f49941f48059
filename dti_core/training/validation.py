"""The loss of images that are not trained on: by it a step is chosen, and a run may end early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from .data import TrainingImage
from .repeats import drawn_by, with_repeats

EVERY = 25
# Of each image, each at another noise level.
DRAWS = 8
# So many images are always trained on: of fewer each shows too much that no other does.
LEAST_TRAINED = 3


@dataclass(frozen=True, eq=False)
class Chosen:
    """The step of the lowest loss. vectors: by encoder key, `[n_vectors, dim]` float32 on the CPU."""

    step: int
    loss: float
    vectors: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class ValidationState:
    """What has been measured so far, and the best of it."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    best: Chosen | None


# Of one concept, or by the names of several.
Measured: TypeAlias = ValidationState | Mapping[str, ValidationState]


class Validation:
    """Measures vectors every few steps, keeps the best, and says when there has been none better for long.

    measure: the loss of vectors by encoder key, given how many images may pass through the network at a time; not
        finite where it cannot be had. It must not draw from what training draws from.
    every: steps from one to the next; the last step is measured too.
    patience: steps without a lower loss after which training ends; 0 for none.

    steps, losses: what has been measured; the first is what the run starts from. Step 0 is never chosen.
    """

    def __init__(self, measure: Callable[[Mapping[str, Tensor], int], float], every: int, patience: int = 0) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.best: Chosen | None = None
        self._measure, self._every, self._patience = measure, every, patience

    def begin(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        """Measure what the run starts from, unless it goes on."""
        if not self.steps:
            self._add(step, vectors, rows)

    def after(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        """Measure where it is time to."""
        if step % self._every == 0:
            self._add(step, vectors, rows)

    def finish(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        """Measure the last step. A longer run would not have: it comes into no state."""
        if self.steps[-1] != step:
            self._add(step, vectors, rows)

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        if not self._patience or self.best is None or not math.isfinite(self.losses[-1]):
            return False
        return self.steps[-1] - self.best.step >= self._patience

    def state(self) -> ValidationState:
        """As things are; nothing in it changes later."""
        return ValidationState(tuple(self.steps), tuple(self.losses), self.best)

    def go_on_from(self, state: Measured | None) -> None:
        """None: of a run that measured nothing."""
        if state is None or isinstance(state, Mapping):
            self.steps, self.losses, self.best = [], [], None
        else:
            self.steps, self.losses, self.best = list(state.steps), list(state.losses), state.best

    def _add(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        loss = self._measure(vectors, rows)
        self.steps.append(step)
        self.losses.append(loss)
        if step > 0 and math.isfinite(loss) and (self.best is None or loss < self.best.loss):
            self.best = Chosen(step, loss, vectors)


class ValidationTogether:
    """The validations of several concepts of one run, by name: each of them has a best step of its own.

    Training ends early where patience has run out for all.
    """

    def __init__(self, concepts: Mapping[str, Validation]) -> None:
        self._concepts = dict(concepts)

    def begin(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        for one in self._concepts.values():
            one.begin(step, vectors, rows)

    def after(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        for one in self._concepts.values():
            one.after(step, vectors, rows)

    def finish(self, step: int, vectors: Mapping[str, Tensor], rows: int) -> None:
        for one in self._concepts.values():
            one.finish(step, vectors, rows)

    @property
    def is_over(self) -> bool:
        return all(one.is_over for one in self._concepts.values())

    def state(self) -> dict[str, ValidationState]:
        return {name: one.state() for name, one in self._concepts.items()}

    def go_on_from(self, state: Measured | None) -> None:
        for name, one in self._concepts.items():
            one.go_on_from(state.get(name) if isinstance(state, Mapping) else None)


def check_validation(held_out: int, every: int, patience: int) -> None:
    """Raise ValueError for numbers that mean nothing together."""
    if held_out < 0 or every < 1 or patience < 0:
        raise ValueError(
            f"held_out is {held_out}, validate_every {every} and patience {patience}; held_out and patience go from 0 "
            "(none), validate_every from 1."
        )
    if patience and not held_out:
        raise ValueError(
            f"patience is {patience}, but held_out is 0: there is no loss to be patient about. Set held_out to 1, "
            "or patience to 0."
        )


def n_held_out(n_images: int, wanted: int) -> int:
    """How many of so many images can be left out of training, of those that are wanted."""
    return max(0, min(wanted, n_images - LEAST_TRAINED))


def split(
    images: Sequence[TrainingImage], n_images: int, n_held_out: int
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """What is trained on, and what is held out: the last ones.

    images: `n_images`, and mirrored ones behind them, which show the same: those of what is held out are left out.
    Repeats are of one trained image beside the others; of those that are held out each counts the same.
    """
    first = n_images - n_held_out
    trained = [image for number, image in enumerate(images) if number % n_images < first]
    shares = drawn_by([image.repeats for image in trained], len(trained))
    return with_repeats(trained, shares), with_repeats(images[first:n_images], (1,))
