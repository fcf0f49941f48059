"""An image file as a person sees it: upright, in its colours, on a background where it is transparent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image, ImageCms, ImageColor, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

ORIENTATION = 0x0112  # EXIF's tag; 1 is upright


@dataclass(frozen=True)
class Picture:
    """pixels `[H, W, 3]` in [0, 1]; transparency `[H, W]`, 1 where the background shows; notes for the person."""

    pixels: Tensor
    transparency: Tensor
    notes: tuple[str, ...]


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue of 'white' or '#ff8800', 0 to 255. Raises ValueError."""
    try:
        return ImageColor.getrgb(text.strip())[:3]
    except ValueError as error:
        raise ValueError(
            f"background is {text!r}; give a colour by name or as #rrggbb: 'white', 'black', '#808080'."
        ) from error


def read_picture(path: Path, name: str, background: tuple[int, int, int]) -> Picture:
    """Read the first frame of a file. Raises ValueError, with `name`, for what is damaged or no image."""
    try:
        with _whole_files_only(), Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            notes = ["turned upright"] if image.getexif().get(ORIENTATION) in range(2, 9) else []
            # A phone's MPO is one image with a smaller copy or a depth map behind it.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                notes.append("its first frame")
            if image.mode.startswith("I") or image.mode == "F":
                colour, alpha = _deep_gray(upright, image.format)
            else:
                colour, alpha = _colour(upright), _alpha(upright)
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name} is not an image that Pillow {PIL.__version__} can read. Save it as PNG or JPEG, or move it away."
        ) from error
    # Decoders fail on damaged files in every way there is.
    except Exception as error:
        raise ValueError(f"{name} cannot be read ({error}). Copy or save it again, or move it away.") from error
    if alpha.min() < 1:
        notes.append("transparent parts filled")
    ground = np.asarray(background, dtype=np.float32) / 255
    pixels = colour * alpha[..., None] + ground * (1 - alpha[..., None])
    return Picture(torch.from_numpy(pixels), torch.from_numpy(1 - alpha), tuple(notes))


@contextmanager
def _whole_files_only() -> Iterator[None]:
    """Other packs tell Pillow to fill in what a truncated file lacks, with gray."""
    allowed = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = allowed


def _deep_gray(image: Image.Image, file_format: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Colour `[H, W, 3]` and alpha `[H, W]` of 16-bit gray, which Pillow's own conversion clips to white."""
    # Pillow hands some 16-bit files on with 32 bits; what else has 32 does not say which value is white.
    if not image.mode.startswith("I;16") and not (image.mode == "I" and file_format in ("PNG", "PPM")):
        raise ValueError("32 bits a pixel; save it with 8 or 16")
    values = np.asarray(image).astype(np.float32)
    alpha = np.ones_like(values)
    clear = image.info.get("transparency")
    if clear is not None:
        alpha[values == clear] = 0
    return np.repeat(values[..., None] / 65535, 3, axis=2), alpha


def _colour(image: Image.Image) -> np.ndarray:
    """`[H, W, 3]` in sRGB, by the file's colour profile where it has one that fits."""
    flat = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
    profile = image.info.get("icc_profile")
    if profile:
        try:
            own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            flat = ImageCms.profileToProfile(flat, own, srgb, outputMode="RGB") or flat
        except (ImportError, OSError, ImageCms.PyCMSError):
            pass  # as every viewer does with a profile of another kind
    return np.asarray(flat.convert("RGB")).astype(np.float32) / 255


def _alpha(image: Image.Image) -> np.ndarray:
    """`[H, W]`, 1 where the image is opaque."""
    if not {"A", "a"} & set(image.getbands()) and "transparency" not in image.info:
        return np.ones(image.size[::-1], dtype=np.float32)
    return np.asarray(image.convert("RGBA").getchannel("A")).astype(np.float32) / 255
