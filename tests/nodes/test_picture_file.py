"""Images of every kind, with the values that a person sees."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile

# 3 high, 2 wide; no two pixels alike.
RGB = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]], [[10, 20, 30], [200, 100, 50]]], dtype=np.uint8
)
GRAY = np.array([[0, 255], [100, 128], [7, 200]], dtype=np.uint8)
WHITE = (255, 255, 255)


@pytest.fixture
def read(comfy_modules, tmp_path):
    """Saves an image and reads it."""
    from dti_pack.nodes.concept_images.picture_file import read_picture

    def save_and_read(image: Image.Image, name: str = "a.png", background=WHITE, **options):
        image.save(tmp_path / name, **options)
        return read_picture(tmp_path / name, name, background)

    return save_and_read


@pytest.fixture
def read_bytes(comfy_modules, tmp_path):
    from dti_pack.nodes.concept_images.picture_file import read_picture

    def write_and_read(content: bytes, name: str):
        (tmp_path / name).write_bytes(content)
        return read_picture(tmp_path / name, name, WHITE)

    return write_and_read


def levels(picture) -> np.ndarray:
    """Pixels as 8-bit values, after a check that they are such."""
    values = picture.pixels.numpy() * 255
    assert picture.pixels.dtype == torch.float32
    assert np.abs(values - values.round()).max() < 1e-3
    return values.round().astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "tga"])
def test_rgb(read, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    picture = read(Image.fromarray(RGB), f"a.{suffix}", **options)
    assert (levels(picture) == RGB).all()
    assert (picture.transparency == torch.zeros(3, 2)).all()
    assert picture.notes == ()


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="this Pillow has no AVIF")
def test_avif(read):
    picture = read(Image.new("RGB", (16, 16), (200, 100, 50)), "a.avif", quality=100)
    assert np.abs(levels(picture).astype(int) - (200, 100, 50)).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, RGB.transpose(1, 0, 2)),
        (6, np.rot90(RGB, -1)),
        (7, RGB.transpose(1, 0, 2)[::-1, ::-1]),
        (8, np.rot90(RGB)),
    ],
)
def test_exif_orientation(read, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(Image.fromarray(RGB), exif=exif)
    assert (levels(picture) == upright).all()
    assert picture.notes == (() if orientation == 1 else ("turned upright",))


def test_gray_and_black_and_white(read):
    assert (levels(read(Image.fromarray(GRAY))) == GRAY[..., None]).all()
    assert (levels(read(Image.fromarray(GRAY).convert("1", dither=0))) == (GRAY[..., None] > 127) * 255).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bit_gray_keeps_its_shades(read, read_bytes, suffix):
    deep = np.array([[0, 65535], [257, 32768]], dtype=np.uint16)
    if suffix == "pgm":
        picture = read_bytes(b"P5 2 2 65535\n" + deep.astype(">u2").tobytes(), "a.pgm")
    else:
        picture = read(Image.fromarray(deep), f"a.{suffix}")
    assert np.abs(picture.pixels.numpy() - deep[..., None] / np.float32(65535)).max() < 1e-6
    assert picture.pixels.shape == (2, 2, 3)


def test_cmyk(read):
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0]], [[0, 255, 255, 0], [0, 0, 0, 255]]], dtype=np.uint8)
    picture = read(Image.fromarray(inks, "CMYK"), "a.tiff")
    assert (levels(picture) == [[[255, 255, 255], [0, 255, 255]], [[255, 0, 0], [0, 0, 0]]]).all()


def test_palette(read):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert (levels(read(image)) == [[[10, 20, 30], [40, 50, 60]]]).all()
    picture = read(image, "b.png", transparency=1)
    assert (levels(picture) == [[[10, 20, 30], [255, 255, 255]]]).all()
    assert picture.transparency.tolist() == [[0, 1]]


def test_alpha_lies_over_the_background(read):
    image = Image.fromarray(np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 200, 0, 51]]], dtype=np.uint8))
    picture = read(image, background=(0, 0, 255))
    assert (levels(picture) == [[[255, 0, 0], [0, 0, 255], [0, 40, 204]]]).all()
    assert torch.allclose(picture.transparency, torch.tensor([[0.0, 1.0, 0.8]]))
    assert picture.notes == ("transparent parts filled",)


def test_other_kinds_of_transparency(read):
    gray = Image.fromarray(np.array([[[0, 255], [100, 0]]], dtype=np.uint8), "LA")
    assert (levels(read(gray)) == [[[0] * 3, [255] * 3]]).all()
    assert (levels(read(Image.fromarray(RGB), transparency=(255, 0, 0)))[0] == [[255, 255, 255], [0, 255, 0]]).all()
    deep = Image.fromarray(np.array([[0, 513]], dtype=np.uint16))
    picture = read(deep, transparency=513)
    assert picture.pixels[0, :, 0].tolist() == [0, 1]
    assert picture.transparency.tolist() == [[0, 1]]


def test_a_colour_profile_counts(read):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = levels(read(Image.fromarray(RGB), icc_profile=srgb)).astype(int)
    assert np.abs(same - RGB).max() <= 1
    # A profile whose red is what others call green.
    swapped = srgb.replace(b"rXYZ", b"temp", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"temp", b"gXYZ", 1)
    red_and_green = levels(read(Image.fromarray(RGB), "b.png", icc_profile=swapped)).astype(int)
    assert np.abs(red_and_green - RGB[..., [1, 0, 2]]).max() <= 2


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_a_profile_that_does_not_fit_is_passed_over(read, profile):
    assert (levels(read(Image.fromarray(RGB), icc_profile=profile)) == RGB).all()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_of_several(read, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if suffix == "webp" else {}
    picture = read(frames[0], f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert (levels(picture) == (255, 0, 0)).all()
    assert picture.notes == ("its first frame",)


def test_a_phones_picture_with_a_second_one_behind_it(read):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    picture = read(frames[0], "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert np.abs(levels(picture).astype(int) - (255, 0, 0)).max() <= 2
    assert picture.notes == ()


@pytest.mark.parametrize("allowed", [False, True])
def test_a_truncated_file_is_refused_whatever_other_packs_allow(read, read_bytes, tmp_path, monkeypatch, allowed):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", allowed)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("whole.png", "whole.jpg", "whole.webp"):
        read(Image.fromarray(noise), name)
        content = (tmp_path / name).read_bytes()
        with pytest.raises(ValueError, match=rf"cut\.{name[6:]} cannot be read|cut\.{name[6:]} is not an image"):
            read_bytes(content[: len(content) // 2], f"cut.{name[6:]}")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is allowed


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(read_bytes, content):
    with pytest.raises(ValueError, match=r"holiday\.jpg is not an image that Pillow"):
        read_bytes(content, "holiday.jpg")


@pytest.mark.skipif("pillow_heif" in sys.modules, reason="this Pillow reads HEIC")
def test_heic_that_this_pillow_cannot_read(read_bytes):
    with pytest.raises(ValueError, match=r"IMG_1\.HEIC is not an image that Pillow .* PNG or JPEG"):
        read_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "IMG_1.HEIC")


def test_pixels_without_a_known_white(read):
    with pytest.raises(ValueError, match=r"a\.tiff cannot be read \(32 bits a pixel"):
        read(Image.fromarray(np.array([[0.0, 3.0]], dtype=np.float32)), "a.tiff")


def test_background_colours(comfy_modules):
    from dti_pack.nodes.concept_images.picture_file import parse_colour

    assert parse_colour("gray") == (128, 128, 128)
    assert parse_colour(" #ff8800 ") == (255, 136, 0)
    with pytest.raises(ValueError, match="background is 'whit'"):
        parse_colour("whit")
