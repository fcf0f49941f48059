"""The subjects of a DreamBooth folder: a folder of images each, and a class word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dti_pack.nodes.concept_images.concept_folder import find_pictures, is_hidden
from dti_pack.nodes.concept_images.picture_file import read_picture
from dti_pack.nodes.prompt_name import check_embedding_name
from PIL import Image
from torch import Tensor

# What may stand beside the subjects, with lines "subject,class" among others.
CLASS_FILE = "prompts_and_classes.txt"
# DreamBooth's 30 subjects with the authors' words (their data/dreambooth.json).
CLASSES = {
    "backpack": ("backpack", "backpack_dog"),
    "boot": ("fancy_boot",),
    "bowl": ("berry_bowl",),
    "can": ("can",),
    "candle": ("candle",),
    "cartoon": ("red_cartoon",),
    "cat": ("cat", "cat2"),
    "clock": ("clock",),
    "dog": ("dog", "dog2", "dog3", "dog5", "dog6", "dog7", "dog8"),
    "sneaker": ("colorful_sneaker", "shiny_sneaker"),
    "stuffed animal": ("bear_plushie", "grey_sloth_plushie", "wolf_plushie"),
    "sunglasses": ("pink_sunglasses",),
    "teapot": ("teapot",),
    "toy": ("duck_toy", "monster_toy", "poop_emoji", "rc_car", "robot_toy"),
    "vase": ("vase",),
}
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Subject:
    """A subject's class word, its images, and a mask for each or none at all: white where the subject is."""

    name: str
    word: str
    pictures: tuple[Path, ...]
    masks: tuple[Path, ...] = ()

    def pixels(self) -> list[Tensor]:
        """The images upright, `[H, W, 3]` in [0, 1]."""
        return [read_picture(path, f"{self.name}/{path.name}", WHITE).pixels for path in self.pictures]

    def references(self) -> list[Image.Image]:
        """The images as they are compared with."""
        return [Image.fromarray((pixels * 255).round().byte().numpy()) for pixels in self.pixels()]

    def masked_references(self) -> list[Image.Image]:
        """The same on black, as the authors compare with them; none where there are no masks."""
        return [_masked(image, mask) for image, mask in zip(self.references(), self.masks, strict=False)]

    def fingerprint(self) -> str:
        """Changes with the word and with any of the images."""
        return hashlib.sha256(f"{self.word} {digest_of(self.pictures)}".encode()).hexdigest()[:16]


def find_subjects(folder: Path, wanted: Sequence[str] = (), masks: Path | None = None) -> list[Subject]:
    """The subjects of a folder, or those that are wanted of it. Raises ValueError with what is missing of them."""
    if (folder / "dataset").is_dir():  # as DreamBooth's repository has it
        folder = folder / "dataset"
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    if missing := [name for name in wanted if name not in there]:
        raise ValueError(f"{folder} has no folder for {', '.join(missing)}; it has {', '.join(there) or 'none'}.")
    words = _words(folder / CLASS_FILE)
    names = list(dict.fromkeys(wanted)) or there
    if not names:
        raise ValueError(f"{folder} has no subjects: a folder with three to six images for each is looked for.")
    if missing := [name for name in names if name not in words]:
        raise ValueError(
            f"no class word is known for {', '.join(missing)}. Add a line 'name,word' for each to "
            f"{folder / CLASS_FILE}, or name others with --subjects."
        )
    return [_subject(folder / name, words[name], masks) for name in names]


def check_pictures(subjects: Iterable[Subject]) -> None:
    """Read all images and masks. Raises ValueError for one that cannot be read, or whose mask is of another size."""
    for subject in subjects:
        subject.pixels()
        subject.masked_references()


def digest_of(files: Iterable[Path]) -> str:
    """A short name for what the files hold, of any size."""
    total = hashlib.sha256()
    for file in files:
        one = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                one.update(block)
        total.update(one.digest())
    return total.hexdigest()[:16]


def _words(file: Path) -> Mapping[str, str]:
    """Class words by subject; the authors' own where the file has another."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    given = dict(re.findall(r"^([\w .-]*\w) *, *([\w -]*\w)$", text, re.MULTILINE))
    return {**given, **{name: word for word, names in CLASSES.items() for name in names}}


def _subject(folder: Path, word: str, masks: Path | None) -> Subject:
    check_embedding_name(folder.name)
    pictures = tuple(file.path for file in find_pictures(folder, subfolders=False).pictures)
    if not pictures:
        raise ValueError(f"{folder} has no images; put three to six of the subject there, or name other --subjects.")
    if masks is None:
        return Subject(folder.name, word, pictures)
    files = tuple(masks / folder.name / f"{picture.stem}.png" for picture in pictures)
    # The authors' evaluation goes on with the whole image, and its numbers are then of two kinds.
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ValueError(f"masks are missing: {', '.join(missing)}. Each image needs one, or leave out --masks.")
    return Subject(folder.name, word, pictures, files)


def _masked(image: Image.Image, file: Path) -> Image.Image:
    with Image.open(file) as mask:
        if mask.size != image.size:
            raise ValueError(f"the mask {file} is {mask.size}, and its image is {image.size}; make it the same size.")
        share = np.asarray(mask.convert("RGB")) / 255
    return Image.fromarray((np.asarray(image) * share).astype(np.uint8))
