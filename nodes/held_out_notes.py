"""What is held out of a run, and which step was chosen by it, in words."""

from __future__ import annotations

import math

from ..dti_core.training.validation import LEAST_TRAINED, Validation, n_held_out


def held_out_numbers(n_images: int, wanted: int) -> list[int]:
    """Of the images that are held out, from 1."""
    return list(range(n_images - n_held_out(n_images, wanted) + 1, n_images + 1))


def held_out_notes(n_images: int, wanted: int) -> list[str]:
    """Before the run: which images it does not train on, and why not as many as were wanted."""
    numbers, notes = held_out_numbers(n_images, wanted), []
    if len(numbers) < wanted:
        notes.append(
            f"held_out is {wanted}, and of {n_images} images {len(numbers) or 'none'} can be held out: at least "
            f"{LEAST_TRAINED} are trained on. "
            + ("" if numbers else "There is no validation loss, and the last step is the result.")
        )
    if numbers:
        which = f"Image {numbers[0]} is" if len(numbers) == 1 else f"Images {numbers[0]} to {numbers[-1]} are"
        notes.append(f"{which} held out: not trained on, but measured for the validation loss.")
    return [note.strip() for note in notes]


def chosen_notes(validation: Validation, steps: int) -> list[str]:
    """After the run: the step that was chosen, and why; steps: as many as were asked for."""
    best, last = validation.best, validation.steps[-1]
    if best is None:
        return ["No step has a validation loss, so the last one is the result."]
    notes = [f"step {best.step} is the result: it has the lowest validation loss, {best.loss:.4f}"]
    if best.step != last and math.isfinite(validation.losses[-1]):
        notes[0] += f", against {validation.losses[-1]:.4f} at the end (step {last})"
    if sum(step > 0 for step in validation.steps) == 1:
        notes.append("Only one step was measured: set validate_every lower to have a choice.")
    if validation.is_over and last < steps:
        notes.append(f"ended at step {last} of {steps}, as {last - best.step} steps had brought no lower one")
    if validation.steps[0] == 0 and validation.losses[0] <= best.loss:
        notes.append(
            f"No step has a lower validation loss than the start, {validation.losses[0]:.4f}: what was trained does "
            "not carry over to what is held out. Do all images show one subject or style?"
        )
    return notes
