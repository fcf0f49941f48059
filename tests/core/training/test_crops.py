"""Shapes of crops, and the sizes that images are brought to for them."""

from __future__ import annotations

import pytest

from dti_core.training.crops import SHAPES, STEP, Crop

SQUARE, KEPT = SHAPES


@pytest.mark.parametrize(
    ("size", "result"), [((100, 150), (64, 96)), ((150, 100), (96, 64)), ((64, 64), (64, 64)), ((30, 31), (64, 64))]
)
def test_a_squares_edge_is_the_short_side(size, result):
    crop = Crop(64)
    assert crop.size(*size) == (64, 64)
    assert crop.resized(*size) == result
    assert crop.window(*size, 8) is None


@pytest.mark.parametrize(
    ("size", "crop", "resized"),
    [
        ((3000, 4000), (640, 896), (672, 896)),
        ((4000, 3000), (896, 640), (896, 672)),
        ((1080, 1920), (576, 1024), (576, 1024)),
        ((1000, 1010), (768, 768), (768, 776)),
        # Longer than 2 to 1: the ends are cut off.
        ((300, 3000), (576, 1024), (576, 5760)),
    ],
)
def test_the_shape_nearest_to_the_images_own(size, crop, resized):
    kept = Crop(768, KEPT)
    assert kept.size(*size) == crop
    assert kept.resized(*size) == resized
    assert kept.window(*size, 8) == (crop[0] // 8, crop[1] // 8)


@pytest.mark.parametrize("resolution", range(64, 2049, 64))
def test_no_shape_takes_more_memory_than_the_square(resolution):
    """The memory plan counts on it."""
    shapes = {Crop(resolution, KEPT).size(100, width) for width in range(20, 500)}
    assert all(rows * columns <= resolution**2 for rows, columns in shapes)
    assert all(rows % STEP == columns % STEP == 0 for rows, columns in shapes)
    assert all(0.5 <= rows / columns <= 2 for rows, columns in shapes)
    assert (resolution, resolution) in shapes


def test_what_of_an_image_is_cut_off():
    """From shape to shape in steps of 64 pixels; at most what lies half way to the next one."""
    for width in range(400, 801, 10):
        rows, columns = Crop(768, KEPT).resized(600, width)
        crop_rows, crop_columns = Crop(768, KEPT).size(600, width)
        assert crop_rows * crop_columns / (rows * columns) > 0.88


@pytest.mark.parametrize("shape", SHAPES)
def test_room_is_left_on_each_side(shape):
    plain, roomy = Crop(512, shape), Crop(512, shape, 0.2)
    assert roomy.size(600, 900) == plain.size(600, 900)
    for side, whole in zip(roomy.resized(600, 900), plain.resized(600, 900), strict=True):
        assert side == pytest.approx(whole / 0.8, abs=8)
    assert roomy.window(600, 900, 8) == tuple(side // 8 for side in plain.size(600, 900))
    assert roomy.enlargement(600, 900) == pytest.approx(plain.enlargement(600, 900) / 0.8)


def test_an_enlargement_is_of_what_is_cropped():
    assert Crop(512).enlargement(256, 1024) == 2
    # 384 x 640 from 512 x 1024: 384 / 512 is more than 640 / 1024.
    assert Crop(512, KEPT).enlargement(512, 1024) == 0.75
    assert Crop(512).enlargement(512, 1024) == 1


def test_names_of_what_is_not_usual():
    assert Crop(512).in_use() == {}
    assert Crop(512, KEPT, 0.1).in_use() == {"crop": KEPT, "random_crop": "0.1"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": "round"}, "crop is 'round'; choose 'square' or 'keep aspect'"),
        ({"room": 0.6}, "random_crop is 0.6; it goes from 0"),
        ({"room": -0.1}, "random_crop is -0.1"),
        ({"room": float("nan")}, "random_crop is nan"),
    ],
)
def test_what_is_no_crop_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Crop(512, **settings)
