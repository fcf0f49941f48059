"""The images that likeness is measured by: what of them is looked at, and what makes them a poor measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

from ...dti_core.scoring.similarity import cosines
from ...dti_core.training.image_marks import image_mark
from ...dti_core.training.masks import check_masks

# A guess at where, in DINOv2, crops and re-encodings of one photo lie and other photos of its subject do not.
NEAR = 0.95


def subject_alone(pictures: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Images `[H, W, 3]` with black outside their masks `[H, W]`, as DTI's authors have it; without masks as they are.

    Raises ValueError for masks that are not those of the images.
    """
    check_masks(masks, pictures, 0.0)
    if not masks:
        return list(pictures)
    return [picture * mask.to(picture.device)[..., None] for picture, mask in zip(pictures, masks, strict=True)]


def trained_notes(pictures: Sequence[Tensor], marks: Collection[str]) -> list[str]:
    """A sentence where images are among those that an embedding's header says it was trained on."""
    known = [number for number, picture in enumerate(pictures, start=1) if image_mark(picture) in marks]
    if not known:
        return []
    which = "All images" if len(known) == len(pictures) else f"Images {', '.join(map(str, known))}"
    return [
        f"{which} are among those that were trained on: likeness to them rewards copying, and grows with every step. "
        "Keep one or two images of the subject back from training, and score by those."
    ]


def near_notes(features: Tensor, trained: Tensor) -> list[str]:
    """A sentence for each image `[n, dim]` that is next to the same as one that was trained on `[m, dim]`."""
    closest, which = cosines(features, trained).max(dim=1)
    return [
        f"Image {number} is next to the same as training image {int(other) + 1} (cosine {float(value):.3f}): likeness "
        "to it rewards copying."
        for number, (value, other) in enumerate(zip(closest, which, strict=True), start=1)
        if value > NEAR
    ]


def ceiling_notes(n_images: int, ceiling: float, floor: float) -> list[str]:
    """A sentence where the images cannot tell how much likeness there is to be had, or whether there is any."""
    if n_images == 1 and ceiling != ceiling:
        return [
            "With one image there is no telling how alike images of your subject are: give two or more, or connect "
            "trained_images."
        ]
    if ceiling <= floor:
        return [
            f"The class word is as like your images ({floor:.3f}) as they are to each other ({ceiling:.3f}): image "
            "scores tell little here. Masks may help, or images in which the subject is larger."
        ]
    return []
