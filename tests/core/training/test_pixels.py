"""Images as they come in."""

from __future__ import annotations

import pytest
import torch

from dti_core.training.pixels import check_pixels, resize, with_mirrored
from tests.rounding import EPS32


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(4, 64, 3), "picture 2 is 64 x 4 pixels"),
        (torch.zeros(64, 64, 4), "alpha channel"),
        (torch.zeros(64, 64, 1), r"shape \(64, 64, 1\)"),
        (torch.zeros(1, 64, 64, 3), r"shape \(1, 64, 64, 3\)"),
        (torch.full((64, 64, 3), torch.nan), "NaN or infinite"),
    ],
)
def test_what_is_not_a_picture_is_refused(pixels, message):
    with pytest.raises(ValueError, match=message):
        check_pixels(pixels, "picture 2")


def test_a_resized_picture_stays_within_its_range():
    resized = resize(torch.rand(100, 150, 3, generator=torch.Generator().manual_seed(0)).round(), (64, 96))
    assert resized.shape == (64, 96, 3)
    assert 0 <= resized.min() and resized.max() <= 1


def test_a_picture_of_the_right_size_stays():
    pixels = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    # Twice a sum of a pixel times 1 and its neighbours times 0, where the weights are rounded.
    torch.testing.assert_close(resize(pixels, (64, 64)), pixels, atol=16 * EPS32, rtol=0)


def test_mirrored_pictures_and_masks_belong_together():
    picture = torch.rand(16, 24, 3, generator=torch.Generator().manual_seed(0))
    mask = picture[..., 0]
    pictures, masks = with_mirrored([picture, 1 - picture]), with_mirrored([mask, 1 - mask])
    assert [len(pictures), len(masks)] == [4, 4]
    assert torch.equal(pictures[2][:, 0], picture[:, -1]) and torch.equal(pictures[2][0, 0], picture[0, -1])
    assert all(torch.equal(image[..., 0], plane) for image, plane in zip(pictures, masks, strict=True))
    assert with_mirrored([]) == []
