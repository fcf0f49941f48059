"""What each of several words loses on the same noisy images, by the models of the graph."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ....dti_core.training.data import TrainingImage
from ....dti_core.training.evaluation_set import EvaluationSet
from .checks import check_concept
from .held_out import InterruptibleDenoiser
from .memory import TrainingMemory
from .session import training_session

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP


def known_words(clip: CLIP, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those that a training could start from, and those that it could not."""
    known, unknown = [], []
    for word in words:
        try:
            check_concept(clip, word, 0)
        except ValueError:
            unknown.append(word)
        else:
            known.append(word)
    return known, unknown


def word_losses(
    model: ModelPatcher,
    clip: CLIP,
    images: Sequence[TrainingImage],
    words: Sequence[str],
    samples: int,
    memory: TrainingMemory,
    on_word: Callable[[str, Tensor], None],
) -> dict[str, Tensor]:
    """By word, `[samples]` float32 on the CPU: the losses of noisy images that are the same for each.

    samples: how many there are, evenly over the noise levels. on_word: called after each.

    The models are handed back as they were. Raises ValueError for models that do not belong together, and the host's
    interrupt at Stop, before the next pass.
    """
    found: dict[str, Tensor] = {}
    with training_session(model, clip, memory) as (text_encoder, denoiser):
        denoiser.check_latents(images[0])
        denoiser.check_sampling(images[0], text_encoder)
        measured = EvaluationSet(text_encoder, InterruptibleDenoiser(denoiser.patcher), images, samples)
        for word in words:
            rows = text_encoder.word_rows(word)
            while word not in found:
                try:
                    found[word] = measured.losses(rows, memory.plan.microbatch_size).float().cpu()
                except RuntimeError as error:
                    traceback.clear_frames(error.__traceback__)  # they hold what the pass has allocated
                    memory.step_down(error)
            on_word(word, found[word])
    return found
