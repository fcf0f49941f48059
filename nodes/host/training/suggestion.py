"""The run of Suggest Initializer: progress, and what is said of it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.utils
from torch import Tensor

from ....dti_core.training import TrainingConfig
from ....dti_core.training.crops import SHAPES, Crop
from ..node_text import show_on_node
from .family import training_resolution
from .memory import plan_memory
from .trainable import check_trainable
from .vae import encode_images
from .word_losses import known_words, word_losses

# Of a training step: what is known of memory is known for those.
AT_A_TIME = TrainingConfig.batch_size


def suggestion_losses(
    one: Mapping[str, Any],
    pictures: Sequence[Tensor],
    captions: Sequence[tuple[str, ...]],
    nouns: Sequence[str],
    node_id: str,
) -> tuple[dict[str, Tensor], list[str]]:
    """Losses by noun (`word_losses`), and the nouns that the text encoders do not know.

    one: the node's inputs that have one value. pictures: `[H, W, 3]` in [0, 1]. captions: for each.

    Raises ValueError for what cannot be measured, before models are loaded where that can be known.
    """
    model, clip = one["model"], one["clip"]
    if not pictures:
        raise ValueError("There are no images to measure the nouns on. Connect those that DTI Train will get.")
    check_trainable(model, clip)
    crop = Crop(training_resolution(model, one["resolution"]), SHAPES[0], 0.0)
    words, left_out = known_words(clip, nouns)
    if len(words) < 2:
        raise ValueError(
            f"the text encoders know {' and '.join(words) or 'none'} of the nouns {', '.join(nouns[:20])}; write at "
            "least two plain words, such as: dog, cat, toy."
        )
    memory = plan_memory(
        model,
        clip,
        edge=crop.resolution,
        batch_size=AT_A_TIME,
        microbatch_size=0,
        captions={caption for several in captions for caption in several},
    )
    images = encode_images(one["vae"], pictures, crop.resolution, captions)
    progress = comfy.utils.ProgressBar(len(words))
    means: dict[str, float] = {}

    def said(word: str, losses: Tensor) -> None:
        means[word] = float(losses.mean())
        best = min(means, key=means.__getitem__)
        progress.update(1)
        show_on_node(f"{len(means)} of {len(words)} nouns, the best so far: {best}", node_id)

    return word_losses(model, clip, images, words, one["samples"], memory, said), left_out
