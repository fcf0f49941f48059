"""A concept to be trained: a name, an initializer and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ...dti_core.training.fingerprints import digest

# Images `[H, W, 3]` in [0, 1], and their masks `[H, W]`, 1 on the subject, or none.
Images = tuple[Sequence[Tensor], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class Concept:
    """What DTI Train takes of one concept.

    captions: as they are typed, a text for each image or one for all.
    n_images, read: the images are read when their turn comes, as those of a whole night may not fit into memory.
    digest: `images_digest`, as it was when the concept was made.
    problem: why it cannot be trained; "" where nothing is known against it.
    repeats: how often each image is drawn beside the others, or none.
    """

    name: str
    initializer: str
    templates: str
    captions: Sequence[str]
    n_images: int
    read: Callable[[], Images]
    digest: str
    problem: str = ""
    repeats: Sequence[int] = ()


def images_digest(
    pictures: Sequence[Tensor], masks: Sequence[Tensor], captions: Sequence[str], repeats: Sequence[int] = ()
) -> str:
    """Of what a concept is trained on."""
    return digest((list(pictures), list(masks), list(captions), list(repeats)))
