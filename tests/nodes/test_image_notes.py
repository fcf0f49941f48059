from __future__ import annotations

import pytest
import torch
from dti_pack.dti_core.training.crops import Crop
from dti_pack.nodes.image_notes import mask_notes, picture_notes


def noise(seed: int, height: int = 96, width: int = 128) -> torch.Tensor:
    return torch.rand((height, width, 3), generator=torch.Generator().manual_seed(seed))


def test_nothing_to_say() -> None:
    assert picture_notes([noise(0), noise(1), noise(2)], Crop(96)) == []


def test_one_colour() -> None:
    flat = torch.full((128, 128, 3), 0.5)
    flat[3, 3] += 2 / 255
    (note,) = picture_notes([noise(0), flat], Crop(96))
    assert note.startswith("Image 2 is one colour throughout")


@pytest.mark.parametrize("second", ["equal", "noisy", "smaller"])
def test_the_same_picture_twice(second: str) -> None:
    first = torch.nn.functional.interpolate(noise(0, 8, 8).movedim(-1, 0)[None], (256, 256), mode="bilinear")
    again = {
        "equal": first.clone(),
        "noisy": (first + 2 / 255 * torch.randn(first.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1),
        "smaller": torch.nn.functional.interpolate(first, (224, 224), mode="bilinear", antialias=True),
    }[second]
    pictures = [first[0].movedim(0, -1), noise(3), again[0].movedim(0, -1)]
    (note,) = picture_notes(pictures, Crop(96))
    assert note.startswith("Images 1 and 3 are the same")


def test_few_pixels() -> None:
    note, others = picture_notes(
        [noise(0, 96, 200), noise(1, 200, 96)[:95], noise(2, 300, 300), noise(3, 140, 150)], Crop(144)
    )
    assert others == (
        "Enlarged to the resolution 144: image 1 (200 x 96 pixels, 1.50 times), image 4 (150 x 140 pixels, 1.03 times)."
    )
    assert note.startswith("Image 2 is 96 x 95 pixels and is enlarged 1.5 times to the resolution 144")


def test_few_pixels_for_the_crop_that_is_asked_for() -> None:
    """192 x 256 suffices for a square of 192, not where crops leave out a fifth of each side."""
    picture = noise(0, 192, 256)
    assert picture_notes([picture], Crop(192)) == []
    (note,) = picture_notes([picture], Crop(192, room=0.2))
    assert note == "Enlarged to the resolution 192: image 1 (256 x 192 pixels, 1.25 times)."


def test_a_mask_of_the_background() -> None:
    """A cut-out on white, whose loader's mask is 1 where it is transparent."""
    cut_out, clear = noise(0), torch.zeros(96, 128)
    clear[:, :50] = 1
    cut_out[:, :50] = 1
    (note,) = mask_notes([noise(1), cut_out], [1 - clear, clear])
    assert note.startswith("What mask 2 marks as the subject is one colour")
    assert mask_notes([noise(1), cut_out], [1 - clear, 1 - clear]) == []
    assert mask_notes([noise(1)], []) == []


def test_masks_of_everything() -> None:
    (note,) = mask_notes([noise(0), noise(1)], [torch.ones(96, 128)] * 2)
    assert note.endswith("they change nothing.")
